/** What an answer changes of the PDUs that are apart, in the commit that writes it down (contract 5.9). */
import type { Db } from '../store/db.ts'
import type { Isolation } from '../store/isolation.ts'
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
  const isLeft = (room: number): boolean =>
    apart?.rows.some(
      (row) => row.room === room && row.grp === null && !acknowledges.positions.includes(row.pos),
    ) === true
  if (apart !== null) {
    await endApart(db, destination, acknowledges.positions)
    await releaseRooms(db, destination)
    // A room that is taken again gets the rest at once.
    const taken = apart.rooms.filter((room) =>
      apart.rows.some((row) => isWith(row, room) && acknowledges.positions.includes(row.pos)),
    )
    const rooms = taken.map(({ room, heldSince }) => ({
      room,
      heldSince: heldSince ?? 0,
      tries: 0,
      nextAt: startedAt,
    }))
    await sortApart(db, destination, { apart: [], rooms: rooms.filter(({ room }) => isLeft(room)) })
  }
  const wasUnsure = (state.isolation.search?.unsure ?? 0) > 0
  if (wasUnsure && apart !== null && after?.search != null) {
    const left = apart.rows.filter(({ pos }) => !acknowledges.positions.includes(pos))
    await sortApart(db, destination, { apart: afterAnswerAtLast(left), rooms: [] })
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
