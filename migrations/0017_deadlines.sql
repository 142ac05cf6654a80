-- A failing destination that is owed a sticky event is tried before that lapses. `deadline_at`: when, as the last look planned it;
-- `tried_at`: when the last attempt failed; `deadline_tries`: when the last of these tries began, of which there are at most eight an hour.
--
-- Locks: three columns without a default and a function, so for a moment only; nothing is rewritten or read. The release before this one
-- neither reads nor writes them. What it leaves standing of them says at worst that a look is due, and that look asks again.
alter table destinations add column deadline_at bigint, add column tried_at bigint, add column deadline_tries bigint[];

-- In their turn such tries come after what an operator or advice brought forward, and before everybody else: they have a deadline.
create or replace function keep_turn_key() returns trigger language plpgsql as $$
begin
  new.turn_key := turn_key(new.asked_at, new.advice_at, new.last_success, new.failures);
  if new.turn_key > 1 and new.look_at >= new.deadline_at then new.turn_key := 1; end if;
  return new;
end
$$;
