-- The whole of limpet's first schema: the stream, who is in which room, and how far each destination got.
--
-- Rooms and destinations have small integer keys. `pos` is the stream position: one counter for every
-- kind of item, taken under one transaction-scoped advisory lock, so that a snapshot that sees
-- `stream.head` = H sees every item up to H and none after it. Times are milliseconds since the epoch
-- by `now_ms()`; a wait is a number of milliseconds.

-- What the database is bound to, and one setting that only tests set.
create table settings (
  key   text primary key,
  value text not null
);

-- The database's clock, through which everything is decided that time decides.
create function now_ms() returns bigint language sql stable as $$
  select (extract(epoch from clock_timestamp()) * 1000)::bigint
       + coalesce((select value::bigint from settings where key = 'clock_offset_ms'), 0)
$$;

-- One row: the newest position taken.
create table stream (
  one  boolean primary key default true check (one),
  head bigint not null
);
insert into stream (head) values (0);

-- How far a worker of the log itself got ('fanout').
create table cursors (
  name text primary key,
  pos  bigint not null
);
insert into cursors (name, pos) values ('fanout', 0);

-- A producer's own place in its stream, moved in the commit that stores its items.
create table sources (
  source       text primary key,
  source_token text,
  updated_at   bigint not null
);

create table rooms (
  id           integer generated always as identity primary key,
  room_id      text not null unique,
  room_version text,
  -- Position of the newest event. Not indexed: an index would undo HOT updates.
  head         bigint not null default 0,
  -- Whether a `servers` item was ever taken (and no `purge` since).
  known        boolean not null default false
) with (fillfactor = 50);

create table destinations (
  id               integer generated always as identity primary key,
  name             text not null unique,
  -- Everything up to here has been delivered, skipped by catch-up, or was not for this destination.
  position         bigint not null,
  -- Lease: which worker serves it now. `fence` grows with every take; what a holder writes names its fence.
  lease_owner      uuid,
  fence            bigint not null default 0,
  -- Grows when somebody wants the holder to look again before it lets go.
  wake_seq         bigint not null default 0,
  -- When somebody must look at it again (next attempt, unlisted sticky event), or null.
  look_at          bigint,
  -- How many sweeps in a row found it owed, due and unserved.
  missed           integer not null default 0,
  paused           boolean not null default false,
  -- Its last answer was a quick 200: the `delivery` lane.
  quick            boolean not null default false,
  -- It has listed a PDU in an answer at least once.
  lists            boolean not null default false,
  failures         integer not null default 0,
  failing_since    bigint,
  retry_at         bigint,
  retry_interval   bigint,
  -- 'retry_after' (429) or 'gone' (410), until when.
  hold_kind        text,
  hold_until       bigint,
  -- server_up and joins: an attempt brought forward, from when the next may be, and the step of that wait.
  advice_at        bigint,
  advice_up        boolean not null default false,
  advice_after     bigint,
  advice_step      bigint,
  -- An operator's wish to try now.
  asked_at         bigint,
  -- Milliseconds one request may take; null: the configured value.
  timeout_ms       integer,
  last_attempt     bigint,
  last_success     bigint,
  last_error       jsonb,
  attempt_seq      bigint not null default 0,
  created_at       bigint not null,
  -- As of the last sweep, for lists and gauges.
  pending_pdus     bigint not null default 0,
  pending_sticky   bigint not null default 0,
  oldest_pending   bigint,
  counted_at       bigint
) with (fillfactor = 60);
create index destinations_look_at on destinations (look_at) where look_at is not null;
create index destinations_leased on destinations (lease_owner) where lease_owner is not null;

-- Processes and until when their leases hold. A process that lost its row's time takes a new id.
create table workers (
  id          uuid primary key,
  name        text not null,
  lease_until bigint not null
);

-- Equal lists of explicitly addressed destinations are stored once. `exact`: `list` is all who get it
-- (`to`); else the room's servers, and `list` (`also_to`), less `less` (`not_to`).
create table recipients (
  id    integer generated always as identity primary key,
  hash  text not null unique,
  exact boolean not null,
  list  integer[] not null,
  less  integer[] not null,
  -- Position of the newest event addressed so.
  head  bigint not null
);

create table events (
  pos          bigint primary key,
  room         integer not null,
  event_id     text not null,
  sender       text not null,
  -- Canonical JSON, made once at ingest; what is sent.
  pdu          text not null,
  received_ts  bigint not null,
  -- When it stops being sticky; null: it never was, or was redacted.
  sticky_until bigint,
  recipients   integer
);
create index events_room on events (room, pos);
create index events_addressed on events (pos) where recipients is not null;
create index events_sticky on events (pos) where sticky_until is not null;

-- Knows duplicates for longer than the log does.
create table event_ids (
  event_id text primary key,
  pos      bigint not null,
  at       bigint not null
);
create index event_ids_at on event_ids (at);

-- What `servers`, `redact` and `purge` items did: `added`, `removed` are destinations, `target` an event's position.
create table changes (
  pos     bigint primary key,
  kind    text not null,
  room    integer,
  target  bigint,
  added   integer[],
  removed integer[]
);
create index changes_content on changes (pos) where kind in ('redact', 'purge', 'erase');

-- A destination is in a room for events with since < pos <= until: the event that ends it still arrives.
create table memberships (
  room        integer not null,
  destination integer not null,
  since       bigint not null,
  until       bigint,
  primary key (room, destination, since)
);
create index memberships_destination on memberships (destination, room, since);
create unique index memberships_one_open on memberships (room, destination) where until is null;

-- What is sticky now (and ten minutes longer, so that a fast clock elsewhere takes nothing from a joiner).
create table sticky (
  pos        bigint primary key,
  room       integer not null,
  expires_at bigint not null
);
create index sticky_room on sticky (room, pos);
create index sticky_expiry on sticky (expires_at);

-- Catch-up: (from_pos, to_pos] is being gone through, room by room; `cursor` is the last position acknowledged.
create table gaps (
  id          bigint generated always as identity primary key,
  destination integer not null,
  from_pos    bigint not null,
  to_pos      bigint not null,
  cursor      bigint not null,
  -- Rooms in one transaction: 1 at first, doubled by quick answers.
  batch       integer not null default 1,
  opened_at   bigint not null,
  closed_at   bigint
);
create unique index gaps_one_open on gaps (destination) where closed_at is null;
create index gaps_destination on gaps (destination, to_pos);

-- Sticky replays that are owed. A join (`room` set): the room's sticky events up to `upto`, the join's
-- position. A gap (`room` null): every room's after `after_pos`, with no upper end while the gap is open.
create table sticky_owed (
  destination integer not null,
  room        integer,
  after_pos   bigint not null,
  upto        bigint,
  cursor      bigint not null,
  created_at  bigint not null
);
create unique index sticky_owed_join on sticky_owed (destination, room) where room is not null;
create unique index sticky_owed_gap on sticky_owed (destination) where room is null;
create index sticky_owed_room on sticky_owed (room);

-- What became of single sticky events for one destination, where its position does not say it.
create table replays (
  destination integer not null,
  pos         bigint not null,
  -- 'sent': listed (or not confirmable); 'unlisted': to be sent again at next_at; 'lapsed': dropped.
  state       text not null,
  -- The stream's head when the answer was written down: a join after it asks for the event once more.
  listed_at   bigint,
  tries       integer not null default 0,
  next_at     bigint,
  expires_at  bigint not null,
  at          bigint not null,
  primary key (destination, pos)
);
create index replays_unlisted on replays (destination, next_at) where state = 'unlisted';
create index replays_pos on replays (pos);
create index replays_expiry on replays (expires_at);

-- The one transaction of a destination that may be unanswered: its id and its exact bytes, kept before the first goes out.
create table open_transactions (
  destination integer primary key,
  txn_id      text not null,
  -- Null where a redact or purge took the bytes (`void`).
  body        text,
  void        boolean not null default false,
  created_at  bigint not null,
  started_at  bigint not null,
  attempt     integer not null default 1,
  worker      uuid not null,
  -- What an answer acknowledges.
  positions   bigint[] not null,
  -- Per position: t (timeline), c (catch-up), s (sticky replay).
  lanes       text not null,
  event_ids   text[] not null,
  edus        integer not null default 0,
  from_pos    bigint not null,
  to_pos      bigint not null,
  gap         bigint,
  gap_cursor  bigint,
  -- [{room, upto, cursor}]: how far each row of sticky_owed gets.
  sticky      jsonb not null default '[]'
);

-- The newest transactions of a destination (at most 100).
create table attempts (
  destination integer not null,
  seq         bigint not null,
  at          bigint not null,
  txn_id      text not null,
  duration_ms integer not null,
  outcome     text not null,
  status      integer,
  message     text,
  pdus        integer not null,
  edus        integer not null,
  positions   bigint[] not null,
  lanes       text not null,
  from_pos    bigint not null,
  to_pos      bigint not null,
  -- {event_id: error} as answered; and whether the answer had a list of PDUs.
  pdu_errors  jsonb,
  -- Positions the answer did not list though it listed others or has done so before.
  unlisted    bigint[],
  primary key (destination, seq)
);
create index attempts_at on attempts (at);

-- Totals that survive a restart, and what was given up.
create table counters (
  name  text primary key,
  value bigint not null
);

-- Operator's actions: who (the token's name), what, when, on what.
create table audit (
  id     bigint generated always as identity primary key,
  at     bigint not null,
  who    text not null,
  action text not null,
  target text not null
);
