/**
 * Conditions that many statements share, as `leases.ts`, `timeline.ts` and `sticky-lane.ts` write them in SQL.
 *
 * `makeRules` makes the right ones. Planted bugs put others in their place.
 */
import type { DestinationRow, EventRow, RecipientsRow, ReplayRow } from './rows.ts'
import { keyOf } from './rows.ts'
import type { Call } from './statement.ts'
import type { Tables } from './tables.ts'

export interface Rules {
  /** Held by this worker under this fence, in time. */
  holds(t: Tables, d: DestinationRow | undefined, worker: string, fence: number, now: number): boolean
  memberAt(t: Tables, event: Pick<EventRow, 'room' | 'pos'>, destination: number): boolean
  /** A join at `upto` need not be sent this again. */
  listedSince(replay: ReplayRow | undefined, upto: number): boolean
}

export const RULES: Rules = {
  holds: (t, d, worker, fence, now) =>
    d?.lease_owner === worker && d.fence === fence && mayWrite(t, worker, now),
  memberAt: (t, { room, pos }, destination) =>
    t.memberships
      .all()
      .some(
        (m) =>
          m.room === room &&
          m.destination === destination &&
          m.since < pos &&
          (m.until === null || pos <= m.until),
      ),
  listedSince: (replay, upto) => replay?.state === 'sent' && (replay.listed_at ?? 0) >= upto,
}

/** A room that has something newer than its position, in which it is, or was after it; or something addressed to it. */
export const isBehind = (t: Tables, d: DestinationRow): boolean =>
  t.memberships.all().some((m) => {
    const head = t.rooms.get(m.room)?.head ?? 0
    return (
      m.destination === d.id &&
      head > d.position &&
      head > m.since &&
      (m.until === null || m.until > d.position)
    )
  }) || t.recipients.all().some((r) => r.head > d.position && r.list.includes(d.id))

/** Opens a gap, and owes its sticky events. */
export function putGap({ t, now, next }: Call, id: number, from: number, to: number): void {
  const gap = next('gaps')
  t.gaps.put(gap, {
    ...{ id: gap, destination: id, from_pos: from, to_pos: to, cursor: from, batch: 1, closed_at: null },
  })
  t.sticky_owed.put(keyOf.owed(id, null), {
    ...{ destination: id, room: null, after_pos: from, upto: null, cursor: from, created_at: now },
  })
}

/** Under a lease of this server. */
export const mayWrite = (t: Tables, worker: string, now: number): boolean =>
  lives(t, worker, now) && t.workers.get(worker)?.of_before === false

export const lives = (t: Tables, worker: string | null, now: number): boolean =>
  worker !== null && (t.workers.get(worker)?.lease_until ?? 0) > now

export const recipientsOf = (t: Tables, { recipients }: EventRow): RecipientsRow | null =>
  recipients === null ? null : (t.recipients.all().find(({ id }) => id === recipients) ?? null)

export const addressed = (t: Tables, event: EventRow, destination: number): boolean =>
  recipientsOf(t, event)?.list.includes(destination) === true

export function byRoom(t: Tables, event: EventRow, destination: number): boolean {
  const them = recipientsOf(t, event)
  return them === null || (!them.exact && !them.less.includes(destination))
}

export const entitled = (rules: Rules, t: Tables, event: EventRow, destination: number): boolean =>
  addressed(t, event, destination) || (byRoom(t, event, destination) && rules.memberAt(t, event, destination))

export const replayOf = (t: Tables, destination: number, pos: number): ReplayRow | undefined =>
  t.replays.get(keyOf.replay(destination, pos))

export const notSent = (t: Tables, destination: number, { pos }: { pos: number }): boolean =>
  replayOf(t, destination, pos)?.state !== 'sent'

export const isApart = (t: Tables, destination: number, pos: number): boolean =>
  t.apart.get(keyOf.apart(destination, pos)) !== undefined

/** It is not apart, and its room does not wait. */
export const notApart = (
  t: Tables,
  destination: number,
  { pos, room }: { pos: number; room: number },
): boolean =>
  !isApart(t, destination, pos) && t.waiting_rooms.get(keyOf.waits(destination, room)) === undefined

export const inRoomNow = (t: Tables, destination: number, room: number): boolean =>
  t.memberships.all().some((m) => m.room === room && m.destination === destination && m.until === null)

export const owedTo = (t: Tables, destination: number) =>
  t.sticky_owed.all().filter((row) => row.destination === destination)

/** A join row that covers this sticky event, and by which it is still owed. */
export function owedByJoin(rules: Rules, t: Tables, destination: number, s: { pos: number; room: number }) {
  const row = t.sticky_owed.get(keyOf.owed(destination, s.room))
  if (row === undefined || s.pos <= row.cursor || s.pos > (row.upto ?? 0)) return false
  return !rules.listedSince(replayOf(t, destination, s.pos), row.upto ?? 0)
}

/** As the triggers on memberships do. */
export function narrow(t: Tables, destinations: readonly number[]): void {
  for (const id of [...new Set(destinations)].sort((a, b) => a - b)) {
    const d = t.destinations.get(id)
    if (d !== undefined) t.destinations.change(id, { narrowed_seq: d.narrowed_seq + 1 })
  }
}

/** Nothing was taken away from it since its holder looked. */
export const unnarrowed = (d: DestinationRow, narrowedSeq: number | null | undefined): boolean =>
  d.narrowed_seq === narrowedSeq && !d.paused

/** A room was forgotten after that position. */
export const forgottenAfter = (t: Tables, pos: number): boolean =>
  t.changes.all().some((change) => ['purge', 'erase'].includes(change.kind) && change.pos > pos)

export const headOf = (t: Tables): number => t.stream.get(1)?.head ?? 0

/** In the order of their positions. */
export const eventsBetween = (t: Tables, after: number, upto: number): EventRow[] =>
  t.events
    .all()
    .filter(({ pos }) => pos > after && pos <= upto)
    .sort((a, b) => a.pos - b.pos)

export const openGapOf = (t: Tables, destination: number) =>
  t.gaps.all().find((gap) => gap.destination === destination && gap.closed_at === null)

export const textRow = ({ pos, event_id, pdu, received_ts, sticky_until, odd }: EventRow) => ({
  pos,
  event_id,
  pdu,
  received_ts,
  sticky: sticky_until !== null,
  odd,
})

/** `least`, `greatest` of SQL: nulls are skipped. */
export const least = (...values: (number | null)[]): number | null => {
  const given = values.filter((value) => value !== null)
  return given.length === 0 ? null : Math.min(...given)
}
export const greatest = (...values: (number | null)[]): number | null => {
  const given = values.filter((value) => value !== null)
  return given.length === 0 ? null : Math.max(...given)
}
