/**
 * Reads what the planner decides from: no more than one transaction needs, and only the lanes that the
 * destination's row says are in use.
 */
import type { Pool } from '../store/db.ts'
import type { DestinationState } from '../store/destination-state.ts'
import { gapPositions, readGapRooms } from '../store/gap-rooms.ts'
import { readOwedSticky, readUnlisted } from '../store/sticky-lane.ts'
import { countTimeline, readTimeline } from '../store/timeline.ts'
import type { Found, Most } from '../store/within-bytes.ts'
import type { Limits, Pdu, Reading } from './plan.ts'

/**
 * Reads the lanes of one destination: of each as much as a transaction takes, and one more, to know whether that is all. Of texts
 * no more than `most.bytes` in all, but of each lane the first.
 */
export async function readPending(pool: Pool, state: DestinationState, most: Limits): Promise<Reading> {
  const { id, now, head, position, gap, owed } = state
  const rows = most.maxPdus + 1
  let bytes = most.maxBytes
  const read = <T extends Pdu>(found: Found<T>): Found<T> => {
    bytes -= found.pdus.reduce((sum, { pdu }) => sum + Buffer.byteLength(pdu) + 1, 0)
    return found
  }
  const unlistedDue = state.unlistedAt !== null && state.unlistedAt <= now
  const sticky = owed.length > 0 ? read(await readOwedSticky(pool, id, now, { rows, bytes })) : NONE
  const unlisted = unlistedDue ? read(await readUnlisted(pool, id, now, { rows, bytes })) : NONE
  // A gap begins with one room a transaction; texts for more would be read for nothing, at each try of a dead server.
  const some = Math.min(rows, (gap?.batch ?? 0) + sticky.pdus.length + unlisted.pdus.length + 1)
  const gapRooms = gap === null ? NONE : await readGapRooms(pool, id, gap, { rows: some, bytes })
  const range = { after: position, upto: head }
  const timeline = gap === null ? await readTimeline(pool, id, range, { rows, bytes }) : NONE
  return {
    ...{ now, position, head, gap, owed },
    ...{ sticky: sticky.pdus, unlisted: unlisted.pdus, gapRooms: gapRooms.pdus, timeline: timeline.pdus },
    complete: { sticky: sticky.all, gapRooms: gapRooms.all, timeline: timeline.all },
  }
}

const NONE: Found<never> = { pdus: [], all: true }
const ONE: Most = { rows: 1, bytes: 0 }

/**
 * Whether it is owed anything, found out as cheaply as can be: nobody connects to a server that is owed nothing. Null where it
 * is; else the reading of a destination whose lanes are empty, from which cursors may still move.
 */
export async function readIfNothingIsOwed(pool: Pool, state: DestinationState): Promise<Reading | null> {
  const { id, now, head, position, gap, owed, unlistedAt } = state
  const range = { after: position, upto: head }
  const isOwed =
    (gap === null && (await countTimeline(pool, id, range, 1)) > 0) ||
    (owed.length > 0 && (await readOwedSticky(pool, id, now, ONE)).pdus.length > 0) ||
    (unlistedAt !== null && unlistedAt <= now && (await readUnlisted(pool, id, now, ONE)).pdus.length > 0) ||
    (gap !== null && (await gapPositions(pool, id, gap, 1)).length > 0)
  if (isOwed) return null
  return {
    ...{ now, position, head, gap, owed },
    ...{ sticky: [], unlisted: [], gapRooms: [], timeline: [] },
    complete: { sticky: true, gapRooms: true, timeline: true },
  }
}
