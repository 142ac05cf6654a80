-- An index may not name what every answer writes: `destinations_in_turn` (0011) named `last_success` and `failures`, so each answer
-- wrote a new entry into every index of the table, instead of none. The order is kept in a column of its own now, which
-- changes when the time to look at a destination does.
drop index destinations_in_turn;
alter table destinations add column turn_key bigint;

-- Small first: those brought forward, then those that answered last, then those that have failed least.
create function turn_key(asked_at bigint, advice_at bigint, last_success bigint, failures integer) returns bigint
  language sql immutable as $$
    select case when asked_at is not null or advice_at is not null then 0
                when last_success is not null then greatest(9007199254740991 - last_success, 1)
                else 9007199254740992 + failures end
  $$;

-- In the database, because processes of the release before this one write these columns beside us.
create function keep_turn_key() returns trigger language plpgsql as $$
begin
  new.turn_key := turn_key(new.asked_at, new.advice_at, new.last_success, new.failures);
  return new;
end
$$;
create trigger destinations_turn before update on destinations for each row
  when (new.look_at is not null and (new.look_at is distinct from old.look_at or new.asked_at is distinct from old.asked_at
    or new.advice_at is distinct from old.advice_at))
  execute function keep_turn_key();
create trigger destinations_first_turn before insert on destinations for each row
  when (new.look_at is not null) execute function keep_turn_key();

update destinations set turn_key = turn_key(asked_at, advice_at, last_success, failures) where look_at is not null;
create index destinations_turn_key on destinations (turn_key, look_at, id) where look_at is not null and not paused;
