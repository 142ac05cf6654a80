/** One sweep, as `deliver/sweep.ts` makes it; without its counts, by which nobody decides anything. */
import { nowMs, type Pool } from '../../src/store/db.ts'
import { forgetOld } from '../../src/store/forget-old.ts'
import { cutImpossibleWaits, removeOld } from '../../src/store/housekeeping.ts'
import { copyNeeded, dropUnneeded, giveUpOld, neededUpTo } from '../../src/store/kept-events.ts'
import { settleDestinations } from '../../src/store/settle-destinations.ts'
import { noteLapsed } from '../../src/store/sticky-lane.ts'
import { markMissed } from '../../src/store/wake-lists.ts'
import { SETTINGS, US } from './driver.ts'

const { max_ms, jitter } = SETTINGS.backoff
const LONGEST_MS = Math.ceil(max_ms * (1 + jitter))
const ATTEMPTS_MS = 30 * 86_400_000

export async function sweep(pool: Pool, wake: () => void): Promise<void> {
  await cutImpossibleWaits(pool, LONGEST_MS)
  await noteLapsed(pool, await nowMs(pool), null)
  const missed = await markMissed(pool)
  if (missed.some(({ name }) => name === US)) wake()
  await removeOld(pool, ATTEMPTS_MS)
}

const NEVER_TOO_OLD_MS = 1e12
const EVENT_IDS_MS = 7 * 86_400_000

/**
 * What `store/retention.ts` does with a partition that ends at `upto` and is old enough, in its order: the partition itself
 * aside, whose place a `delete` takes. False: somebody who is being served needs it.
 */
export async function retain(pool: Pool, upto: number): Promise<boolean> {
  const db = await pool.connect()
  try {
    const { rows } = await db.query<{ log_floor: number }>('select log_floor from stream')
    // A clock that was set back makes it young again; what is out of the log stays out.
    const floor = Math.max(upto, rows[0]?.log_floor ?? 0)
    const { held } = await settleDestinations(db, upto)
    if (held > 0) return false
    const needed = await neededUpTo(db, upto)
    await giveUpOld(db, needed, NEVER_TOO_OLD_MS)
    await copyNeeded(db, needed, 0)
    await db.query('update stream set log_floor = $1 where log_floor < $1', [upto])
    await db.query('delete from events where pos <= $1', [upto])
    await dropUnneeded(db, await neededUpTo(db, floor))
    await forgetOld(db, EVENT_IDS_MS)
    return true
  } finally {
    db.release()
  }
}
