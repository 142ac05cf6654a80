-- Since when has a destination been answering again? For producers that ask which servers are back (`GET /v1/ingest/unreachable`). By a trigger, so that
-- it is also so where a process of the release before this one writes the answer. It runs where a failing period ends, and nowhere else.
--
-- Locks: a column without a default and a trigger, so for a moment only; nothing is rewritten or read.
alter table destinations add column up_at bigint;

create function note_up() returns trigger language plpgsql as $$
begin
  new.up_at := now_ms();
  return new;
end
$$;
create trigger destinations_up before update of failing_since on destinations
  for each row when (old.failing_since is not null and new.failing_since is null) execute function note_up();
