-- The log ages by time that a running limpet saw, not by what one clock says at one moment: a clock that was wrong once
-- must not take the log away.
--
-- Locks: two small tables are made; nothing that is there is touched. What is in the log at this moment counts as
-- received now, so the first partitions after an upgrade stay for up to `retention.events_ms` longer.

-- How much time running processes have seen, all together. One row.
create table seen_time (
  one     boolean primary key default true check (one),
  seen_ms bigint not null
);
insert into seen_time (seen_ms) values (0);

-- Where the stream's head was when so much time had been seen: everything up to `head` was received by then.
create table seen_marks (
  seen_ms bigint primary key,
  head    bigint not null,
  -- The lowest that the database's clock said from then until the next mark: what was over by it was over all along.
  low     bigint not null
);
