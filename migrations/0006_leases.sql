-- Whose lease lives, asked anew; and which server a lease was given by.
--
-- Locks: `workers` and `changes` for a moment; neither is rewritten.

-- A lease holds on the server that gave it. After a failover, or a restart, what a worker remembers need not be in the
-- database any more, so it writes nothing under its old lease. The time at which the server started tells them apart.
alter table workers add column server_started timestamptz not null default pg_postmaster_start_time();

-- Which of these workers have a lease now, and the time at which that was asked. `writes`: it may still write under it.
-- Volatile on purpose: a statement that has waited for a lock sees the workers as they were before it waited. What a
-- volatile function reads is read anew, so a statement that calls this after its lock sees every renewal.
create function living(them uuid[]) returns table (worker uuid, writes boolean, now bigint)
language plpgsql volatile rows 1 as $$
begin
  return query
    select w.id, w.server_started = pg_postmaster_start_time(), n.now
      from workers w, (select now_ms() as now offset 0) n
     where w.id = any(them) and w.lease_until > n.now;
end
$$;

-- When a change was taken; null: by a release before this one. With its content it tells one change from another that
-- stands at the same position after a failover.
alter table changes add column at bigint;
alter table changes alter column at set default now_ms();
