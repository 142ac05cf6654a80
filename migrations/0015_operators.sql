-- What operators do is listed (`GET /v1/audit`), and done to many destinations by one command.

-- Of an act by a glob, `target`: to how many destinations it was done; null: an act on what `target` names. The release before this
-- one writes rows without it. Locks: a nullable column, so for a moment only; nothing is rewritten.
alter table audit add column matched integer;

-- What a command did to many destinations and is still to be done: a row for each, which goes in the commit that does it. So a crash in
-- the middle loses no act, and none is done twice. A new table: locks nothing; an older release neither reads nor writes it, and what it
-- holds is done as soon as a process of this one delivers.
create table planned_acts (
  destination integer not null,
  -- 'wake', 'reset' or 'skip'.
  action      text not null,
  -- The name of the token.
  who         text not null,
  -- One after the other, `federation.ramp_per_second` of them in a second.
  due_at      bigint not null,
  -- The head of the stream when it was asked for.
  upto        bigint not null,
  primary key (destination, action)
);
create index planned_acts_due on planned_acts (due_at, destination);

-- An operator gives up what is owed to a destination up to a place in the stream: the wish, which its holder carries out, and by whom.
-- Locks: nullable columns, so for a moment only. An older release that holds a destination leaves its wish to the next holder.
alter table destinations add column skip_upto bigint, add column skip_by text;

-- What was given up so. Kept as long as the log holds any of it, for who asks what became of an event. A new table: locks nothing.
create table skips (
  destination integer not null,
  -- The position before it; and how far an open gap had been gone through, or the same.
  from_pos    bigint not null,
  reached     bigint not null,
  upto        bigint not null,
  who         text not null,
  at          bigint not null
);
create index skips_destination on skips (destination, upto);
