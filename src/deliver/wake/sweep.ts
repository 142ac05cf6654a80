/**
 * Finds the destinations that were missed, and keeps house. It does not live in the queue: a queue that lost its data
 * would have lost the sweep with it.
 *
 * One process at a time does it, under an advisory lock. Which destinations are owed something is asked once. A destination that is owed
 * something, may go and is not served is due from then on, and brought in its turn; one that two sweeps in a row found so
 * although its turn had come is served directly (`due.ts`).
 */
import type { VetDomain } from '../../allow/domains.ts'
import type { Clock } from '../../pace/clock.ts'
import type { Log } from '../../observe/log.ts'
import type { Db, Pool } from '../../store/db.ts'
import { countBacklogs } from '../../store/upkeep/count-backlogs.ts'
import { cutImpossibleWaits, removeOld, withSweepLock } from '../../store/upkeep/housekeeping.ts'
import { nowMs } from '../../store/db.ts'
import { followClockBack } from '../../store/upkeep/set-back.ts'
import { endSticky } from '../../store/upkeep/sticky-end.ts'
import { noteLapsed } from '../../store/delivery/sticky-lane.ts'
import { findOwed, markMissed } from '../../store/delivery/wake-lists.ts'
import { readBlockedIds } from '../../store/views/blocked-ids.ts'
import { ODD_INTERVALS, type BackoffSettings } from '../rules/backoff.ts'

export interface SweepNeeds {
  pool: Pool
  clock: Clock
  /** In case the fanout's own nudge was lost. */
  nudgeFanout: () => Promise<void>
  /** To whom nothing is sent, as of now; null: nobody is blocked. */
  vetDomain: VetDomain | null
  backoff: Omit<BackoffSettings, 'dead_after_ms'>
  attemptsMs: number
  onLapsed: (count: number) => void
  log: Log
}

/** What counting backlogs may take of a sweep, ms: the next one goes on. It is for people, nothing is decided by it. */
const COUNTING_MS = 2_000

/** Whether less than `ms` have passed since this was asked for. */
const within = (clock: Clock, ms: number): (() => boolean) => {
  const until = clock.monotonic() + ms
  return () => clock.monotonic() < until
}

/** One sweep; false when another process sweeps. Errors of the queue don't stop it: the next sweep wakes again. */
export function makeSweep(needs: SweepNeeds): () => Promise<boolean> {
  // Where the counting of backlogs goes on, if one sweep was not enough for all.
  let countedTo = 0
  // To no avail they would be due, and put aside (`due.ts`), at each sweep.
  const allowedOnly = async (db: Db, owed: readonly number[]) => {
    if (needs.vetDomain === null || owed.length === 0) return owed
    const blocked = new Set(await readBlockedIds(db, needs.vetDomain))
    return owed.filter((id) => !blocked.has(id))
  }
  return () =>
    withSweepLock(needs.pool, async (db) => {
      // First: what was cut already would be put back as well.
      if (await followClockBack(db))
        needs.log.warn("the database's clock was set back; waits were set back by as much")
      const longestMs = Math.ceil(needs.backoff.max_ms * (1 + needs.backoff.jitter))
      await cutImpossibleWaits(db, { longestMs, oddMs: ODD_INTERVALS })
      const ended = await endSticky(db)
      if (ended > 0)
        needs.log.warn(
          { events: ended },
          'events were sticky for too long: the clock was wrong when they came',
        )
      needs.onLapsed(await noteLapsed(db, await nowMs(db), null))
      const owed = await findOwed(db)
      const missed = await markMissed(db, await allowedOnly(db, owed))
      try {
        await needs.nudgeFanout()
      } catch (error) {
        needs.log.warn({ err: error }, 'the queue did not take the fanout; the next sweep tries again')
      }
      countedTo = await countBacklogs(db, owed, {
        from: countedTo,
        mayGoOn: within(needs.clock, COUNTING_MS),
      })
      await removeOld(db, needs.attemptsMs)
      needs.log.debug({ missed }, 'swept')
    })
}
