/**
 * Wakes every destination that new items concern: once per batch, whatever their number.
 *
 * Its cursor is in the database and moves after the wakes are in the queue, so a crash between the two
 * wakes somebody twice, never nobody. What the queue loses after that, the sweep finds.
 */
import type { Pool } from '../store/db.ts'
import { readHead } from '../store/stream.ts'
import {
  bringBackCursor,
  moveCursor,
  readCursor,
  wakeForNewItems,
  type Sleeper,
} from '../store/wake-lists.ts'

export type Wake = (who: readonly Sleeper[]) => Promise<void>

/** Positions looked at at once. */
const BATCH = 5_000

export function makeFanout({
  pool,
  wake,
}: {
  pool: Pool
  wake: Wake
}): (signal: AbortSignal) => Promise<void> {
  return async (signal) => {
    while (!signal.aborted) {
      const after = await readCursor(pool, 'fanout')
      const head = await readHead(pool)
      // The database failed over to an older state.
      if (head < after) await bringBackCursor(pool, 'fanout')
      if (head <= after) return
      const upto = Math.min(head, after + BATCH)
      await wake(await wakeForNewItems(pool, after, upto))
      await moveCursor(pool, 'fanout', upto)
    }
  }
}
