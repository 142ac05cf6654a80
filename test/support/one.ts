/** For one destination, what is asked for many. */
import type { Db } from '../../src/store/db.ts'
import { loadDestinations, type DestinationState } from '../../src/store/delivery/destination.ts'
import {
  releaseDestinations,
  takeDestinations,
  type Held,
  type LettingGo,
  type Taken,
} from '../../src/store/delivery/leases.ts'

export async function takeDestination(db: Db, worker: string, name: string): Promise<Taken> {
  const [taken] = await takeDestinations(db, [{ worker, name }])
  return taken ?? { kind: 'unknown' }
}

export async function loadDestination(db: Db, held: Held): Promise<DestinationState | null> {
  const [state] = await loadDestinations(db, [held])
  return state ?? null
}

export async function releaseDestination(db: Db, held: Held, how: Partial<LettingGo> = {}): Promise<boolean> {
  const [released] = await releaseDestinations(db, [
    { held, wakeSeq: null, lookAt: null, position: null, readAt: 0, ...how },
  ])
  return released === true
}
