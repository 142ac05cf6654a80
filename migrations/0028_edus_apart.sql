-- Durable EDUs that a destination refuses (contract 5.9): out of their lane, whose cursor is past them.
--
-- Locks: a new table, which locks nothing. The release before this one knows nothing of it, and sends nothing that is in it.

create table edus_apart (
  destination integer not null,
  pos         bigint not null,
  -- When it was taken out of its lane.
  since       bigint not null,
  -- It is set aside; false: nothing is concluded, it is out of the way of what comes after it.
  sure        boolean not null,
  tries       integer not null default 0,
  next_at     bigint not null,
  status      integer,
  message     text,
  primary key (destination, pos)
);
