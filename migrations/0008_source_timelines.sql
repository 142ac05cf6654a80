-- What a source that limpet follows by itself (Synapse) remembers of the stream that it reads, beside its token in `sources`:
-- by which a restored database is noticed, and what an operator said then. A new table: locks nothing; an older release
-- neither reads nor writes it, and what is in it stays true while one writes tokens.
create table source_timelines (
  source   text primary key,
  -- See src/ingest/synapse/timeline.ts.
  timeline jsonb not null
);
