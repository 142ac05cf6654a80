/** PDUs go out of their lanes (`store/delivery/apart.ts`): the cursors of the lanes move past them, as after an answer, and their rooms wait. */
import type { Db } from '../store/db.ts'
import type { DestinationState, StoredAcknowledges } from '../store/delivery/destination.ts'
import { gapPositionsByRoom } from '../store/delivery/gap-rooms.ts'
import { moveGap } from '../store/delivery/gaps.ts'
import type { Held } from '../store/delivery/leases.ts'
import { moveStickyCursors } from '../store/delivery/replays.ts'
import { overtakeRoom } from '../store/delivery/rooms-that-wait.ts'

/**
 * Within a transaction of the caller. `take` writes the rows and moves the position; it is given up to where their rooms were read, and up to where
 * the lanes had come before. It returns the rooms that wait from now on, or null where it could not.
 */
export async function takeOut(
  db: Db,
  { held: { destination }, state }: { held: Held; state: DestinationState },
  { toPos, gap, gapCursor, closesGap, sticky }: Omit<StoredAcknowledges, 'positions' | 'lanes' | 'eventIds'>,
  take: (read: { roomsUpto: number; passed: number }) => Promise<number[] | null>,
): Promise<void> {
  // A room is read as far as its lane is: in a gap, up to where that has come.
  const roomsUpto = gap === null || closesGap ? toPos : (gapCursor ?? state.gap?.cursor ?? toPos)
  // While a gap is open, a room that waits is owed of it what the gap has for it: the lane leaves it out from now on.
  const left = closesGap || state.gap === null ? null : state.gap
  const after = { ...left, cursor: Math.max(left?.cursor ?? 0, gapCursor ?? 0) }
  const needed = left === null ? null : await gapPositionsByRoom(db, destination, { ...left, ...after })
  const rooms = await take({ roomsUpto, passed: Math.max(state.position, state.gap?.cursor ?? 0) })
  if (rooms === null) return
  if (left !== null)
    for (const room of rooms)
      await overtakeRoom(db, destination, { room, upto: left.to, positions: needed?.get(room) ?? [] })
  if (gap !== null)
    await moveGap(db, destination, { id: gap, cursor: gapCursor, batch: null, closes: closesGap })
  await moveStickyCursors(db, destination, sticky)
}
