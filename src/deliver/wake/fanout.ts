/**
 * Wakes every destination that new items concern: once per batch, whatever their number, and not again while its job waits.
 *
 * Its cursor is in the database and moves after the wakes are in the queue, so a crash between the two
 * wakes a destination twice, and never leaves one out. Those that fail are not woken, but looked at in time for a sticky event
 * (`sooner.ts`). Followed destinations are left out: they read the log. What the queue loses after that, the sweep finds.
 */
import type { Clock } from '../../pace/clock.ts'
import type { Pool } from '../../store/db.ts'
import { findConcernedByEdus } from '../../store/delivery/wake-for-edus.ts'
import {
  bringBackCursor,
  moveCursor,
  readNews,
  findConcerned,
  type Sleeper,
} from '../../store/delivery/wake-lists.ts'
import type { DeadlineSettings } from '../rules/deadline.ts'
import { bringForward } from './sooner.ts'
import { makeWoken } from './woken.ts'

export type Wake = (sleepers: readonly Sleeper[]) => Promise<void>

/** Positions looked at at once. */
const BATCH = 5_000

export function makeFanout({
  pool,
  wake,
  clock,
  deadline,
}: {
  pool: Pool
  wake: Wake
  clock: Clock
  deadline: DeadlineSettings
}): (signal: AbortSignal) => Promise<void> {
  const woken = makeWoken(clock)
  return async (signal) => {
    while (!signal.aborted) {
      const { after, head, sticky, edus } = await readNews(pool)
      // The database failed over to an older state.
      if (head < after) await bringBackCursor(pool, 'fanout')
      if (head <= after) return
      const upto = Math.min(head, after + BATCH)
      const found = await findConcerned(pool, after, upto)
      if (edus) {
        const told = new Set(found.map(({ name }) => name))
        found.push(...(await findConcernedByEdus(pool, after, upto)).filter(({ name }) => !told.has(name)))
      }
      // A destination that was woken and not taken since still has its job. That turn will see these items, so it is not woken again.
      const toWake = found.filter(({ name, fence, served }) => served || !woken.has(name, fence))
      if (toWake.length > 0) await wake(toWake)
      for (const { name, fence, served } of toWake) if (!served) woken.note(name, fence)
      if (sticky) await bringForward(pool, { after, upto }, deadline)
      await moveCursor(pool, 'fanout', upto)
    }
  }
}
