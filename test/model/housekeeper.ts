/** One sweep, as `deliver/sweep.ts` makes it; without its counts, by which nobody decides anything. */
import { nowMs, type Pool } from '../../src/store/db.ts'
import { cutImpossibleWaits, removeOld } from '../../src/store/housekeeping.ts'
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
