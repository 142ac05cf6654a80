-- Destinations whose time has come are asked for every half second, the first few hundred of perhaps many thousands, in
-- the order of `wake-lists.ts`. Sorted anew each time, 10,000 of them cost a tenth of a second.
create index destinations_in_turn on destinations (
  (asked_at is null and advice_at is null), last_success desc nulls last, failures, look_at, id
) where look_at is not null and not paused;
