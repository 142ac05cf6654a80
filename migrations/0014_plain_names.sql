-- Plain server names are found from this release on. The release before it could not, and took that for a failure like any other: what was
-- owed to them waits for as long as eight hours. Those that failed for this reason last are due now, as if they had never failed.
--
-- As an operator's reset, so that a process of that release which holds one just now goes by it: it sees `failures` emptied when it
-- writes its result, and `wake_seq` raised when it lets go. Not `asked_at`: they come in their turn, after those that have answered before.
-- Holds (429, 410) are answers, and no such name has ever answered.
--
-- Locks these rows alone, in the order of their ids as all who lock several do; reads the table of destinations once.
with waiting as (
  select d.id from destinations d
   where d.failures > 0 and d.hold_until is null and d.last_error->>'kind' = 'discovery'
     and d.last_error->>'message' = 'server discovery comes in the next release'
   order by d.id for update of d
)
update destinations d
   set failures = 0, failing_since = null, retry_at = null, retry_interval = null,
       advice_at = null, advice_up = false, advice_after = null, advice_step = null,
       wake_seq = d.wake_seq + 1, look_at = (select now_ms())
  from waiting w where d.id = w.id;
