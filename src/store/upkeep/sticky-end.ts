/**
 * Ends what a wrong clock made sticky for too long.
 *
 * An event that was taken while the database's clock was a year ahead would stay sticky for a year after the clock is
 * right again: replayed to every server that joins, and kept in the log with everything after it. No event is sticky
 * for more than an hour after it was received (MSC4354). So what was received more than an hour of seen time ago is
 * over, whatever its row says.
 *
 * Always: an event is ended no earlier than a clock that was right all along would have ended it. One reading of the
 * clock decides nothing: while it is behind, everything seems to lie too far ahead, and a lapse is never undone. So
 * the age is that of `seen-time.ts`, and time that no process saw ends nothing.
 */
import { inTransactionOn, type Db } from '../db.ts'
import { oldUpTo } from './seen-time.ts'
import { lockContentShared } from '../stream.ts'
import { sql } from '../statement.ts'

/** The longest that anything is sticky, ms: MSC4354's cap, not the setting, which may have been higher when it was taken. */
const LONGEST_MS = 3_600_000

// $1: the longest. A note goes by its own time: its event may have been redacted. What a note says is looked at only where it is
// impossible, since there is one for each server that was sent the event; the rest comes to its end within the hour.
const OVER = sql(
  'is anything sticky for too long',
  `select exists (select 1 from sticky where pos <= ${oldUpTo('$1')} and expires_at > (select now_ms()))
      or exists (select 1 from replays where pos <= ${oldUpTo('$1')} and expires_at > (select now_ms()) + $1) as over`,
)

const END = sql(
  'end what is sticky',
  `update sticky set expires_at = n.now from (select now_ms() as now offset 0) n
   where pos <= ${oldUpTo('$1')} and expires_at > n.now
  returning pos, n.now`,
)

const END_IN_LOG = sql(
  'end it in the log',
  'update events set sticky_until = $2 where pos = any($1) and sticky_until > $2',
)

// Turns write notes under the locks of their destinations, the sweep takes those that are free: the next sweep does the rest.
const END_NOTES = sql(
  'end the notes of it',
  `update replays p set expires_at = (select now_ms())
    from (select destination, pos from replays
           where pos <= ${oldUpTo('$1')} and expires_at > (select now_ms()) + $1
           order by destination, pos for update skip locked) over
   where p.destination = over.destination and p.pos = over.pos`,
)

// A join, or a gap, of the same wrong time: what lapses before it is not counted for it.
const END_LATER_THAN = sql(
  'joins of the same wrong time',
  `update sticky_owed o set created_at = $1 - 1
    from (select ctid from sticky_owed where created_at >= $1 for update skip locked) late
   where o.ctid = late.ctid`,
)

/** Returns how many events were ended; before what lapsed is noted, so that it is. */
export async function endSticky(db: Db): Promise<number> {
  const { rows } = await db.query<{ over: boolean }>(OVER, [LONGEST_MS])
  if (rows[0]?.over !== true) return 0
  return inTransactionOn(db, async (db) => {
    // A redaction, or a purge, locks the same rows in another order: not beside this.
    await lockContentShared(db)
    const ended = (await db.query<{ pos: number; now: number }>(END, [LONGEST_MS])).rows
    const [first] = ended
    if (first !== undefined) {
      await db.query(END_IN_LOG, [ended.map(({ pos }) => pos), first.now])
      await db.query(END_LATER_THAN, [first.now])
    }
    await db.query(END_NOTES, [LONGEST_MS])
    return ended.length
  })
}
