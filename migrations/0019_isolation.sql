-- Whose fault is it? (contract 5.9) What refusals have taught of a destination, the PDUs that were taken out of their lanes for it, and the rooms
-- that wait behind such PDUs.
--
-- Locks: a nullable column, so for a moment only; three new tables, which lock nothing. The release before this one neither reads nor
-- writes them. While both run, it sends nothing of what is apart, and sends what a room that waits is owed after that; an open transaction of
-- such PDUs it sends again as it is, and answered it is sent once more by this release: PDUs are idempotent by event id.

-- Null: nothing is known of it that would change what it is sent (`src/store/isolation.ts`). Written by its holder with the result of an attempt.
alter table destinations add column isolation jsonb;

-- PDUs that no lane of a destination has any more. Every cursor is past them, and a row is all that says that they are owed.
create table apart (
  destination integer not null,
  pos         bigint not null,
  room        integer not null,
  -- From which lane: t (timeline), c (catch-up), s (sticky replay).
  lane        text not null,
  -- With which others it is sent while the search goes on, in this order; null: it was set aside.
  grp         integer,
  -- When it was taken out, or set aside.
  since       bigint not null,
  -- Of one that was set aside: how often it was tried alone since, and when it is next; null: with its room.
  tries       integer not null default 0,
  next_at     bigint,
  -- What was last answered.
  status      integer,
  message     text,
  primary key (destination, pos)
);
create index apart_room on apart (room);

-- Rooms that wait: of what is after `cursor` nothing goes in any lane while the row is there.
create table waiting_rooms (
  destination integer not null,
  room        integer not null,
  cursor      bigint not null,
  -- Since when the room is held, as several PDUs of it were set aside; null: it waits for the search, or for what it missed meanwhile.
  held_since  bigint,
  tries       integer not null default 0,
  next_at     bigint,
  primary key (destination, room)
);
create index waiting_rooms_room on waiting_rooms (room);

-- What an operator gave up of what was set aside, for those who ask what became of it. It goes with the log.
create table given_up (
  destination integer not null,
  pos         bigint not null,
  who         text not null,
  at          bigint not null,
  primary key (destination, pos)
);
create index given_up_pos on given_up (pos);
