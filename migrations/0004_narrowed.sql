-- What was so when a transaction was planned is asked again when it is frozen.
--
-- A plan waits: for a place, for a connection, for the commit that it shares. Meanwhile its destination may leave a room,
-- or be paused, and then nothing of that plan may go out. Whatever takes something away from a destination raises this
-- counter in its own commit; a plan carries the number that it read, and a freeze refuses another one. `wake_seq` will not
-- do for that: every nudge raises it.
--
-- Locks: a column with a constant default and a trigger, so for a moment only; nothing is rewritten or read.
alter table destinations add column narrowed_seq bigint not null default 0;

-- A membership that ends (a server leaves, is banned, its room is purged) raises the number of its destination. By a trigger, so
-- that it is also so where a process of the release before this one, which knows no such number, takes the item. Once a
-- statement and in the order of ids, as everybody locks destinations. Memberships that ended long ago and are only tidied
-- away take nothing from anybody.
create function narrow_members() returns trigger language plpgsql as $$
begin
  with locked as (
    select d.id from destinations d
     where d.id in (select destination from narrowed where (tg_op = 'UPDATE') = (until is not null)) order by d.id for update of d
  )
  update destinations d set narrowed_seq = d.narrowed_seq + 1 from locked l where d.id = l.id;
  return null;
end
$$;
create trigger memberships_end after update on memberships
  referencing new table as narrowed for each statement execute function narrow_members();
create trigger memberships_go after delete on memberships
  referencing old table as narrowed for each statement execute function narrow_members();
