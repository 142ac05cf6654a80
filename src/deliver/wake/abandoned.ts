/**
 * Gives back destinations that this process owns although no turn of it serves them: a turn broke off (the
 * database was away, a deadlock, a defect) and could not even let go.
 *
 * Without it such a destination would look served for as long as the process lives: no sweep and no due time
 * would bring it back, only new events.
 */
import type { Clock } from '../../pace/clock.ts'
import type { Log } from '../../observe/log.ts'
import type { Pool } from '../../store/db.ts'
import { findOwned, releaseAbandoned } from '../../store/delivery/leases.ts'
import type { LeaseKeeper } from '../lease-keeper.ts'

export interface AbandonedNeeds {
  pool: Pool
  lease: Pick<LeaseKeeper, 'current'>
  /** Names of the destinations that have a turn now; a turn is in it before it takes its destination. */
  running: ReadonlySet<string>
  clock: Clock
  log: Log
}

/** It may own thousands that are served, and reads them all: not at every call, ms. */
const EVERY_MS = 5_000

/** What made one turn break off may do so again: it is not tried again before this, ms. */
const PAUSE_MS = 5_000

export function makeReleaseAbandoned({
  pool,
  lease,
  running,
  clock,
  log,
}: AbandonedNeeds): () => Promise<void> {
  let lookedAt = -Infinity
  return async () => {
    if (clock.monotonic() - lookedAt < EVERY_MS) return
    const held = lease.current()
    if (held === null) return
    const owned = await findOwned(pool, held.id)
    lookedAt = clock.monotonic()
    for (const { name, held: left } of owned) {
      // Asked after the read: the turn that took it under this fence was in there before, and no longer is. One that
      // takes it from now on has another fence.
      if (running.has(name)) continue
      if (await releaseAbandoned(pool, left, PAUSE_MS)) {
        log.warn({ destination: name }, 'a turn failed; its destination is released')
      }
    }
  }
}
