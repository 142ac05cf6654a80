/** One sweep, as `deliver/wake/sweep.ts` makes it; without its counts, by which nobody decides anything. */
import { nowMs, type Pool } from '../../src/store/db.ts'
import {
  endAheadOfTime,
  forgetEdus,
  forgetPurgedEdus,
  forgetRoomSets,
} from '../../src/store/upkeep/forget-edus.ts'
import { forgetOld } from '../../src/store/upkeep/forget-old.ts'
import { cutImpossibleWaits, removeOld } from '../../src/store/upkeep/housekeeping.ts'
import {
  copyNeeded,
  dropUnneeded,
  giveUpOld,
  moveFloor,
  neededUpTo,
} from '../../src/store/upkeep/kept-events.ts'
import { oldLogUpTo, readFloor } from '../../src/store/upkeep/retention.ts'
import { settleDestinations } from '../../src/store/upkeep/move-past.ts'
import { followClockBack } from '../../src/store/upkeep/set-back.ts'
import { endSticky } from '../../src/store/upkeep/sticky-end.ts'
import { noteLapsed } from '../../src/store/delivery/sticky-lane.ts'
import { findOwed, markMissed } from '../../src/store/delivery/wake-lists.ts'
import { ODD_INTERVALS } from '../../src/deliver/rules/backoff.ts'
import { SETTINGS } from './driver.ts'
import { DROP_OLD } from './memory/statement.ts'

const { max_ms, jitter } = SETTINGS.backoff
const LONGEST_MS = Math.ceil(max_ms * (1 + jitter))
const ATTEMPTS_MS = 30 * 86_400_000

export async function sweep(pool: Pool): Promise<void> {
  const db = await pool.connect()
  try {
    await followClockBack(db)
    await cutImpossibleWaits(db, { longestMs: LONGEST_MS, oddMs: ODD_INTERVALS })
    await endSticky(db)
  } finally {
    db.release()
  }
  await noteLapsed(pool, await nowMs(pool), null)
  await markMissed(pool, await findOwed(pool))
  await forgetEdusOf(pool)
  await removeOld(pool, ATTEMPTS_MS)
}

/** At each round of retention, however old the log is. */
async function forgetEdusOf(pool: Pool): Promise<void> {
  const db = await pool.connect()
  try {
    await endAheadOfTime(db, SETTINGS.edus.durableMs)
    await forgetEdus(db, SETTINGS.edus.durableMs)
  } finally {
    db.release()
  }
}

const DROP = `delete /* ${DROP_OLD} */ from events where pos <= $1`

const EVENT_IDS_MS = 7 * 86_400_000

/**
 * What `store/upkeep/retention.ts` does with a partition that is old enough, in its order: the partition itself aside, whose place a
 * `delete` takes. Returns up to where the log went, or null: nothing is old, or somebody who is being served needs it.
 */
export async function retain(pool: Pool): Promise<number | null> {
  const db = await pool.connect()
  try {
    const upto = await oldLogUpTo(db, SETTINGS.eventsMs)
    if (upto === 0) return null
    const floor = Math.max(upto, await readFloor(db))
    const { held } = await settleDestinations(db, upto)
    if (held > 0) return null
    await copyNeeded(db, await neededUpTo(db, upto), 0)
    await moveFloor(db, upto)
    await db.query(DROP, [upto])
    const needed = await neededUpTo(db, floor)
    await giveUpOld(db, needed, SETTINGS.newestEventMs)
    await dropUnneeded(db, needed)
    await forgetPurgedEdus(db)
    await forgetOld(db, EVENT_IDS_MS)
    await forgetRoomSets(db)
    return upto
  } finally {
    db.release()
  }
}
