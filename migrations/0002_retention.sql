-- The log in partitions, so that what is old goes by dropping a table, and what had to be spared of it.
--
-- Locks: `events` is renamed and becomes the first partition as it is; nothing is copied, its positions are read
-- once. Nobody can append or deliver meanwhile.

-- Partitions cover ranges of positions. Their names say which: events_FROM_TO holds FROM <= pos < TO.
-- The first one reaches beyond the head; after it two empty ones, so that ingest never waits for one.
do $$
declare
  width constant bigint := 2000000;
  edge bigint := ((select head from stream) / width + 1) * width;
  first text := format('events_0_%s', edge);
begin
  execute format('alter table events rename to %I', first);
  execute format('alter index events_pkey rename to %I', first || '_pkey');
  execute format('alter index events_room rename to %I', first || '_room');
  execute format('alter index events_addressed rename to %I', first || '_addressed');
  execute format('alter index events_sticky rename to %I', first || '_sticky');

  execute format('create table events (like %I including defaults) partition by range (pos)', first);
  alter table events add primary key (pos);
  create index events_room on events (room, pos);
  create index events_addressed on events (pos) where recipients is not null;
  create index events_sticky on events (pos) where sticky_until is not null;

  execute format('alter table events attach partition %I for values from (0) to (%s)', first, edge);
  for i in 1..2 loop
    execute format('create table %I partition of events for values from (%s) to (%s)',
                   format('events_%s_%s', edge, edge + width), edge, edge + width);
    edge := edge + width;
  end loop;
  -- Where the last partition ends: an append that would come near it makes the next one itself.
  execute format('alter table stream add column log_end bigint not null default %s', edge);
  alter table stream alter column log_end drop default;
end $$;

-- Everything up to here has left the log, but for what `kept_events` holds.
alter table stream add column log_floor bigint not null default 0;

-- What retention had to spare: what open gaps still owe, once for all who lag, and what unanswered transactions
-- are made of. A row may be in the log as well, for as long as its partition is on its way out.
create table kept_events (like events including defaults);
alter table kept_events add primary key (pos);
create index kept_events_room on kept_events (room, pos);
create index kept_events_addressed on kept_events (pos) where recipients is not null;

create index memberships_ended on memberships (until) where until is not null;
