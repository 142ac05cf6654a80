-- Which process follows a source that limpet follows by itself (Synapse); the others stand by. A new table: locks nothing. An older
-- release neither reads nor writes it and follows the source beside whoever has the lease, which is safe: the source's token moves
-- only from where its reader thought it was.
create table source_leases (
  source text primary key,
  holder uuid not null,
  until  bigint not null
);
