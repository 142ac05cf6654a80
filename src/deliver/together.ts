/**
 * Statements that destinations share: what many of them ask at the same time is asked once.
 *
 * Each kind has one statement under way, and what comes meanwhile goes with the next. So thousands that are looked at at once (after an
 * outage, or when all of them are dead) take no more connections than a few, and those that are healthy hardly notice.
 */
import { makeGate } from '../pace/gate.ts'
import { makeBatcher, type Batcher } from '../pace/batcher.ts'
import type { Pool } from '../store/db.ts'
import {
  acknowledgeAndFreeze,
  FROZEN_TOGETHER,
  type Beginning,
} from '../store/delivery/acknowledge-and-freeze.ts'
import { loadDestinations, type DestinationState } from '../store/delivery/destination.ts'
import {
  areWished,
  beginToFollow,
  releaseFollowers,
  type Following,
  type HeldDestination,
} from '../store/delivery/follow-flag.ts'
import {
  releaseDestinations,
  takeDestinations,
  type Held,
  type LettingGo,
  type Taken,
  type ToTake,
} from '../store/delivery/leases.ts'
import { FEW_BY_KEY } from '../store/prepare.ts'
import { writeResultsApart, type AttemptResult } from '../store/delivery/results.ts'

export interface Together {
  take: Batcher<ToTake, Taken>
  load: Batcher<Held, DestinationState | null>
  /** When the attempt began, ms since the epoch, or null if it must not. */
  freeze: Batcher<Beginning, number | null>
  results: Batcher<AttemptResult, boolean>
  letGo: Batcher<LettingGo, boolean>
  /** Of followed destinations: `follow/follow.ts`. */
  begin: Batcher<Following, boolean>
  /** Whether a look at its rows is wished. */
  wished: Batcher<HeldDestination, boolean>
  release: Batcher<Following, boolean>
}

/** Destinations that share one statement, at most. */
const SHARED = 100

const shared = <T, R>(pool: Pool, run: (db: Pool, calls: T[]) => Promise<(R | Error)[]>, maxWeight: number) =>
  makeBatcher<T, R>({ run: (calls) => run(pool, calls), maxWeight })

/** Looks that wait for no others: followed destinations are not behind those that are looked at for the first time, of which there may be thousands. */
export const makeLoadApart = (pool: Pool): Together['load'] => shared(pool, loadDestinations, FEW_BY_KEY)

/** `fewer`: no more than that in any statement, for tests. */
export function makeTogether(pool: Pool, fewer = Infinity): Together {
  type Run<T, R> = (db: Pool, calls: T[]) => Promise<(R | Error)[]>
  const together = <T, R>(run: Run<T, R>, most = SHARED) => shared(pool, run, Math.min(most, fewer))
  // One statement of these three kinds at a time: 10,000 turns that begin at once, as all of them are dead, leave the processors to others.
  const oneTurn = makeGate(1)
  const ofTurns = <T, R>(run: Run<T, R>) =>
    together<T, R>((db, calls) => oneTurn.within(() => run(db, calls)), FEW_BY_KEY)
  return {
    take: ofTurns(takeDestinations),
    load: ofTurns(loadDestinations),
    freeze: together(acknowledgeAndFreeze, FROZEN_TOGETHER),
    results: together(writeResultsApart),
    letGo: ofTurns(releaseDestinations),
    begin: together(beginToFollow),
    wished: together(areWished),
    release: together(releaseFollowers),
  }
}
