/**
 * Reads what the planner decides from: no more than one transaction needs, and only the lanes that the
 * destination's row says are in use.
 */
import type { Pool } from '../store/db.ts'
import type { DestinationState } from '../store/destination-state.ts'
import { readGapRooms } from '../store/gap-rooms.ts'
import { readOwedSticky, readUnlisted } from '../store/sticky-lane.ts'
import { readTimeline } from '../store/timeline.ts'
import type { Reading } from './plan.ts'

/** Reads the lanes of one destination; `maxPdus` is a transaction's. One more is read, to know whether that is all. */
export async function readPending(pool: Pool, state: DestinationState, maxPdus: number): Promise<Reading> {
  const { id, now, head, position, gap, owed } = state
  const limit = maxPdus + 1
  const unlistedDue = state.unlistedAt !== null && state.unlistedAt <= now
  const sticky = owed.length > 0 ? await readOwedSticky(pool, id, now, limit) : []
  const unlisted = unlistedDue ? await readUnlisted(pool, id, now, limit) : []
  // A gap begins with one room a transaction; texts for more would be read for nothing, at each try of a dead server.
  const rooms = Math.min(limit, (gap?.batch ?? 0) + sticky.length + unlisted.length + 1)
  const gapRooms = gap === null ? [] : await readGapRooms(pool, id, gap, rooms)
  const timeline = gap === null ? await readTimeline(pool, id, { after: position, upto: head }, limit) : []
  return {
    now,
    position,
    head,
    gap,
    owed,
    sticky,
    unlisted,
    gapRooms,
    timeline,
    complete: { gapRooms: gapRooms.length < rooms, timeline: timeline.length < limit },
  }
}
