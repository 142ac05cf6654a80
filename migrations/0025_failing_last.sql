-- Who fails comes after all that have not been tried since they answered last. In the order of the last answer, each repeat of one that had died lately
-- went before thousands that nobody had tried yet, so after a start the living came minutes late (`federation.ramp_per_second` lets so many through).
--
-- Small first: those brought forward, then those that answered last, then those that were never tried, then those that have failed least; of these
-- who answered last.
create or replace function turn_key(asked_at bigint, advice_at bigint, last_success bigint, failures integer) returns bigint
  language sql immutable as $$
    select case when asked_at is not null or advice_at is not null then 0
                when failures > 0 then 9007199254740993 + least(failures, 1000) * 4398046511104
                                     + 4398046511103 - least(greatest(coalesce(last_success, 0), 0), 4398046511103)
                when last_success is not null then greatest(9007199254740991 - last_success, 1)
                else 9007199254740992 end
  $$;

update destinations set turn_key = turn_key(asked_at, advice_at, last_success, failures) where look_at is not null and failures > 0;
