/**
 * Reads what the planner decides from: no more than one transaction needs, and only the lanes that the
 * destination's row says are in use.
 */
import type { Pool } from '../store/db.ts'
import type { DestinationState } from '../store/destination-state.ts'
import { gapPositions, readGapRooms } from '../store/gap-rooms.ts'
import { readOwedSticky, readUnlisted } from '../store/sticky-lane.ts'
import { countTimeline, readTimeline } from '../store/timeline.ts'
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

/**
 * Whether it is owed anything, found out as cheaply as can be: nobody connects to a server that is owed nothing. Null where it
 * is; else the reading of a destination whose lanes are empty, from which cursors may still move.
 */
export async function readIfNothingIsOwed(pool: Pool, state: DestinationState): Promise<Reading | null> {
  const { id, now, head, position, gap, owed, unlistedAt } = state
  const range = { after: position, upto: head }
  const isOwed =
    (gap === null && (await countTimeline(pool, id, range, 1)) > 0) ||
    (owed.length > 0 && (await readOwedSticky(pool, id, now, 1)).length > 0) ||
    (unlistedAt !== null && unlistedAt <= now && (await readUnlisted(pool, id, now, 1)).length > 0) ||
    (gap !== null && (await gapPositions(pool, id, gap, 1)).length > 0)
  if (isOwed) return null
  return {
    ...{ now, position, head, gap, owed },
    ...{ sticky: [], unlisted: [], gapRooms: [], timeline: [] },
    complete: { gapRooms: true, timeline: true },
  }
}
