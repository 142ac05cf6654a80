/** What an answer changes of the PDUs that are apart, in the commit that writes it down (contract 5.9). */
import type { Db } from '../store/db.ts'
import type { Isolation } from '../store/isolation.ts'
import type { ApartRow } from '../store/delivery/apart.ts'
import { endApart, makeAllDue, releaseRooms, sortApart } from '../store/delivery/take-apart.ts'
import type { Attempt } from './attempt.ts'
import { afterAnswerAtLast, afterRefusedAside, isWith } from './rules/halves.ts'

/** It was answered 200: what it held of what is apart is done, and a sign of life makes the rest due. */
export async function endWhatWasApart(
  db: Db,
  { held: { destination }, state, acknowledges, apart, startedAt }: Attempt,
  after: Isolation | null,
): Promise<void> {
  if (state.isolation?.apart !== true) return
  if (apart !== null) {
    const isDone = ({ pos }: ApartRow): boolean => acknowledges.positions.includes(pos)
    const left = apart.rows.filter((row) => !isDone(row))
    await endApart(db, destination, acknowledges.positions)
    await releaseRooms(db, destination)
    // A held room that is taken again gets the rest at once.
    const rooms = apart.rooms.flatMap((room) => {
      const its = apart.rows.filter((row) => isWith(row, room))
      if (room.heldSince === null || !its.some(isDone) || its.every(isDone)) return []
      return [{ room: room.room, heldSince: room.heldSince, tries: 0, nextAt: startedAt }]
    })
    const wasUnsure = (state.isolation.search?.unsure ?? 0) > 0
    const sorted = wasUnsure && after?.search != null ? afterAnswerAtLast(left) : []
    await sortApart(db, destination, { apart: sorted, rooms })
  }
  if (state.waiting.failingSince !== null) await makeAllDue(db, destination, startedAt)
}

/** What was set aside was refused again: that is written there, and the destination is in no trouble. */
export async function noteRefusedAside(
  db: Db,
  { held: { destination }, acknowledges, apart }: Attempt,
  said: { status: number | null; message: string },
  now: number,
): Promise<void> {
  if (apart === null) return
  const { positions } = acknowledges
  const [pos] = positions
  const sorted = afterRefusedAside(apart.rows, apart.rooms, positions, now)
  await sortApart(
    db,
    destination,
    sorted,
    positions.length === 1 && pos !== undefined ? { pos, ...said } : null,
  )
}
