/** Conditions on EDUs that several statements share. */
import type { EduRow, MembershipRow, OpenRow } from './rows.ts'
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

/** The server is on its list, or in one of its rooms after the position `after`: as it is woken, who joined later too. */
export const isToldOf = (t: Tables, edu: EduRow, destination: number, after: number): boolean =>
  concerns(t, edu, destination, (m) => m.until === null || m.until > after)

/** The same, but for who joined later. */
export const mayConcern = (t: Tables, edu: EduRow, destination: number, after: number): boolean =>
  concerns(t, edu, destination, (m) => edu.pos > m.since && (m.until === null || m.until > after))

const concerns = (t: Tables, edu: EduRow, destination: number, reaches: (m: MembershipRow) => boolean) =>
  listOf(t, edu).includes(destination) ||
  t.memberships
    .all()
    .some((m) => m.destination === destination && reaches(m) && roomsOf(t, edu).includes(m.room))
