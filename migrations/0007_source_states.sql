-- How a source that limpet follows by itself (Synapse) is doing, as the processes that follow it last said, so that any
-- process can answer for it. Beside `sources`, whose row a commit of ingest locks. A new table: locks nothing; an older
-- release neither reads nor writes it, and its sources are not listed.
create table source_states (
  source       text primary key,
  -- 'running', 'stalled' or 'stopped', and since when.
  state        text not null,
  since        bigint not null,
  -- The end of its stream and our place in it, in its own numbering; null: not known yet.
  head         bigint,
  place        bigint,
  -- Since when something waits there that was not taken, or since when its stream could not be looked at; null: neither.
  behind_since bigint,
  reported_at  bigint not null,
  last_error   text,
  error_at     bigint
);
