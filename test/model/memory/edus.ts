/** Conditions on EDUs that several statements share. */
import type { EduRow, OpenRow } from './rows.ts'
import type { Tables } from './tables.ts'

/** What an unanswered transaction is made of. */
export function openEdus(open: OpenRow): readonly number[] {
  const { edu_txn, edu_positions } = open as Partial<{ edu_txn: string; edu_positions: number[] }>
  return open.void || edu_txn !== open.txn_id ? [] : (edu_positions ?? [])
}

/** The rooms whose servers it is for. */
export const roomsOf = (t: Tables, { room, rooms }: Pick<EduRow, 'room' | 'rooms'>): readonly number[] =>
  room === null ? (t.edu_rooms.get(rooms ?? -1)?.rooms ?? []) : [room]

/** The list that it is for. */
export const listOf = (t: Tables, { recipients }: EduRow): readonly number[] =>
  recipients === null ? [] : (t.recipients.all().find(({ id }) => id === recipients)?.list ?? [])

/** A server in one of its rooms that was there after the position `after`. */
export const mayConcern = (t: Tables, edu: EduRow, destination: number, after: number): boolean =>
  listOf(t, edu).includes(destination) ||
  t.memberships
    .all()
    .some(
      (m) =>
        m.destination === destination &&
        edu.pos > m.since &&
        (m.until === null || m.until > after) &&
        roomsOf(t, edu).includes(m.room),
    )
