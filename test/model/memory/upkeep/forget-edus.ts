/** `store/upkeep/forget-edus.ts`: EDUs that go with their time. */
import { listOf, openEdus, roomsOf } from '../edus.ts'
import { headOf } from '../rules.ts'
import type { EduRow } from '../rows.ts'
import { twin, type Call, type Twins } from '../statement.ts'
import type { Tables } from '../tables.ts'
import { oldUpTo, overSince } from './seen.ts'

const DAY_MS = 86_400_000

/** What may go of those that are not `spared` by an unanswered transaction. */
function forget(t: Tables, isOver: (edu: EduRow) => boolean): EduRow[] {
  const open = new Set(t.open_transactions.all().flatMap(openEdus))
  const gone = t.edus.all().filter((edu) => isOver(edu) && !open.has(edu.pos))
  for (const { pos } of gone) t.edus.delete(pos)
  return gone
}

/** To whom it was still owed: on its list, or in one of its rooms at its position. */
function owedTo(t: Tables, edu: EduRow): number {
  const ids = new Set([
    ...listOf(t, edu),
    ...t.memberships
      .all()
      .filter(
        (m) => m.since < edu.pos && edu.pos <= (m.until ?? Infinity) && roomsOf(t, edu).includes(m.room),
      )
      .map((m) => m.destination),
  ])
  return [...ids].filter((id) => (t.destinations.get(id)?.durable_pos ?? Infinity) < edu.pos).length
}

const isEndedWrongly = ({ t, now }: Call, grace: number, durableMs: number) => {
  return ({ pos, durable, received_ts, expires_at }: EduRow): boolean => {
    if (received_ts <= now + grace || (expires_at !== null && expires_at <= now)) return false
    if (durable && pos <= oldUpTo(t, durableMs)) return true
    return (
      expires_at !== null && expires_at > now + DAY_MS + grace && pos <= oldUpTo(t, expires_at - received_ts)
    )
  }
}

export const FORGET_EDUS = {
  'end EDUs of a wrong clock': twin<[number, number]>((call, grace, durableMs) => {
    const { t, now } = call
    const ended = t.edus.all().filter(isEndedWrongly(call, grace, durableMs))
    for (const { pos } of ended) t.edus.change(pos, { expires_at: now })
    return ended.length
  }),
  'forget EDUs': twin<[number]>(
    ({ t }, grace) =>
      forget(
        t,
        ({ durable, expires_at }) => !durable && expires_at !== null && expires_at < overSince(t, grace),
      ).length,
  ),
  'forget durable EDUs': twin<[number, number]>(({ t }, grace, durableMs) => {
    const over = overSince(t, grace)
    const gone = forget(
      t,
      ({ pos, durable, received_ts, expires_at }) =>
        durable &&
        ((expires_at !== null && expires_at < over) ||
          (pos <= oldUpTo(t, durableMs) && received_ts < over - durableMs)),
    )
    return [{ edus: gone.length, pairs: gone.reduce((sum, edu) => sum + owedTo(t, edu), 0) }]
  }),
  'forget EDUs of purged rooms': twin<[]>(({ t }) => {
    const purgedAt = (room: number) =>
      Math.max(
        0,
        ...t.changes.all().flatMap((one) => (one.kind === 'purge' && one.room === room ? [one.pos] : [])),
      )
    return forget(
      t,
      (edu) =>
        edu.durable && edu.recipients === null && roomsOf(t, edu).every((room) => edu.pos < purgedAt(room)),
    ).length
  }),
  'which sets of rooms does no EDU name': twin<[]>(({ t }) => {
    const named = new Set(t.edus.all().map(({ rooms }) => rooms))
    return t.edu_rooms.all().flatMap(({ id }) => (named.has(id) ? [] : [{ id, head: headOf(t) }]))
  }),
  'forget sets of rooms': twin<[number[], number]>(({ t }, ids, upto) => {
    const named = new Set(t.edus.all().flatMap(({ pos, rooms }) => (pos > upto ? [rooms] : [])))
    const gone = t.edu_rooms.all().filter(({ id }) => ids.includes(id) && !named.has(id))
    for (const { id } of gone) t.edu_rooms.delete(id)
    return gone.length
  }),
} satisfies Twins
