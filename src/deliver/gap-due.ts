/** Is so much missing for so long that a catch-up begins (contract 5.4)? */
import type { Pool } from '../store/db.ts'
import type { DestinationState } from '../store/delivery/destination.ts'
import { countTimeline, readTimeline } from '../store/delivery/timeline.ts'
import { isOld, worthCounting, type CatchUpSettings } from './rules/catch-up.ts'

/** For a destination without an open gap. */
export async function gapIsDue(
  pool: Pool,
  { id, position, head, now }: DestinationState,
  settings: CatchUpSettings,
): Promise<boolean> {
  const most = worthCounting({ position, head }, settings)
  if (most === null) return false
  const range = { after: position, upto: head }
  const [oldest] = (await readTimeline(pool, id, range, { rows: 1, bytes: 0 })).pdus
  if (oldest === undefined || !isOld(oldest, now, settings)) return false
  return (await countTimeline(pool, id, range, most)) >= most
}
