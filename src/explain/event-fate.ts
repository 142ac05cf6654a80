/**
 * What became of one event for one destination, worked out from what is stored: memberships say whether it was
 * entitled; position, gaps and replays say what is past; attempts say when and how it was sent.
 *
 * Pure. Attempts may have been removed by then. The rest then decides alone, and `txn_id` and `at` stay null.
 */
import type { CarriedRow } from '../store/views/event-attempts.ts'
import type { DestinationRow } from '../store/views/destination-row.ts'
import type {
  ApartFact,
  EventRow,
  GapRow,
  GivenUpRow,
  Interval,
  OpenRow,
  OwedRow,
  ReplayRow,
  SkipRow,
  WaitFact,
} from '../store/views/event-facts.ts'
import { apartFate, behindItsRoom, dropped, skipped } from './apart-fate.ts'
import type { Fate, SentAs } from './fate.ts'

/** Everything kept about one event and one destination. */
export interface FateFacts {
  destination: DestinationRow
  /** The event names it: `to`, `also_to`. */
  addressed: boolean
  /** The event goes to its room but not to it: `not_to`, or not in `to`. */
  leftOut: boolean
  /** Of the event's room. */
  intervals: readonly Interval[]
  /** Around the event. */
  gaps: readonly GapRow[]
  replay: ReplayRow | null
  /** Sticky replays it is owed: of the event's room, and of its gap. */
  owed: readonly OwedRow[]
  open: OpenRow | null
  /** What an operator gave up, at or beyond the event. */
  skips: readonly SkipRow[]
  /** The event is apart; null: it is in the lanes. */
  apart: ApartFact | null
  /** The event's room waits; null: it does not. */
  wait: WaitFact | null
  /** An operator gave it up, after it was set aside. */
  givenUp: GivenUpRow | null
  /** Answered transactions with the event, oldest first. */
  carried: readonly CarriedRow[]
  /** Its gap around the event holds a newer one of the room that it is entitled to. */
  overtaken: boolean
}

const SENT_AS: Record<string, SentAs> = { t: 'timeline', c: 'catch_up', s: 'sticky_replay' }
/** A capital: it is apart. */
const sentAs = (letter: string | undefined): SentAs | null => SENT_AS[(letter ?? '').toLowerCase()] ?? null
const nothing = { as: null, txn_id: null, at: null, why: null }

export function fateOf(event: EventRow, known: FateFacts, now: number): Fate {
  const { open, apart, wait } = known
  // With the first transaction that holds it, whatever else is said of it.
  if (open === null && apart !== null) {
    return apartFate(apart, sentAs(apart.lane), wait?.held_since == null ? null : wait)
  }
  const fate = inLanes(event, known, now)
  return wait === null || open !== null || fate.outcome !== 'pending' ? fate : behindItsRoom(fate, wait)
}

/** As its lanes have it. */
function inLanes(event: EventRow, known: FateFacts, now: number): Fate {
  const { open, replay, carried, destination, givenUp } = known
  if (open !== null) {
    const as = sentAs(open.lanes[open.positions.indexOf(event.pos)])
    const why = 'it is in a transaction that has not been answered yet'
    return { outcome: 'pending', as, txn_id: open.txn_id, at: open.started_at, why }
  }
  const confirmed = destination.lists ? ('delivered' as const) : ('acknowledged' as const)
  const sticky = event.sticky_until !== null && event.sticky_until > now
  const owing = sticky ? replayOwed(event, known) : null
  if (owing !== null) return { ...nothing, outcome: 'pending', as: 'sticky_replay', why: owing }
  const listed = carried.findLast(({ unlisted }) => !unlisted)
  if (listed !== undefined) {
    const why =
      listed.error === null ? (destination.lists ? null : NOT_CONFIRMED) : `it answered: ${listed.error}`
    return { outcome: confirmed, as: sentAs(listed.lane), txn_id: listed.txn_id, at: listed.at, why }
  }
  if (givenUp !== null) return dropped(givenUp, known.skips)
  const last = carried.at(-1)
  if (replay?.state === 'sent') {
    // Also one that no answer listed and that was repeated often enough.
    const as = sentAs(last?.lane) ?? 'sticky_replay'
    const why = destination.lists ? null : NOT_CONFIRMED
    return { outcome: confirmed, as, txn_id: last?.txn_id ?? null, at: last?.at ?? replay.at, why }
  }
  if (replay?.state === 'unlisted' && sticky && inRoomNow(known)) {
    const when = replay.next_at === null ? '' : ` at ${new Date(replay.next_at).toISOString()}`
    const why = `its answer did not list the event; it is sent again${when} while it is sticky`
    return {
      outcome: 'pending',
      as: 'sticky_replay',
      txn_id: last?.txn_id ?? null,
      at: last?.at ?? replay.at,
      why,
    }
  }
  const passed = entitled(event, known) ? passage(event, known, now) : null
  if (passed?.outcome === 'pending') return passed
  if (last !== undefined) {
    const why = 'it answered without listing the event'
    return { outcome: 'acknowledged', as: sentAs(last.lane), txn_id: last.txn_id, at: last.at, why }
  }
  const skip = skippedBy(event, known)
  if (skip !== null && (passed === null || isGivenUp(event, known, skip))) return skipped(skip)
  if (passed !== null) {
    if (passed.outcome !== 'delivered') return passed
    return { ...passed, outcome: confirmed }
  }
  if (replay !== null || joinCovers(event, known) !== undefined) {
    const why = 'it was no longer sticky when its turn came'
    return { outcome: 'lapsed', as: 'sticky_replay', txn_id: null, at: replay?.at ?? event.sticky_until, why }
  }
  return { ...nothing, outcome: 'not_entitled', why: whyNot(event, known) }
}

const NOT_CONFIRMED = 'acknowledged, not confirmed: this destination never lists events in its answers'
const FROM_POSITION = "its position is past the event; the transaction's record is no longer kept"

/** Whether an interval of membership holds at a position. */
export const covers = ({ since, until }: Interval, pos: number) =>
  since < pos && (until === null || pos <= until)
const inRoomThen = ({ pos }: EventRow, { intervals }: FateFacts) => intervals.some((one) => covers(one, pos))
const inRoomNow = ({ intervals }: FateFacts) => intervals.some(({ until }) => until === null)

/** The event is for it by `to`, `also_to`, or by being in the room at that point of the stream. */
function entitled(event: EventRow, known: FateFacts): boolean {
  return known.addressed || (!known.leftOut && inRoomThen(event, known))
}

const joinCovers = ({ pos, room }: EventRow, { owed }: FateFacts) =>
  owed.find((row) => row.room === room && row.cursor < pos && pos <= (row.upto ?? Infinity))

/** Why a sticky replay is still owed, or null. What an answer listed since the join is not owed again. */
function replayOwed(event: EventRow, known: FateFacts): string | null {
  if (!inRoomNow(known)) return null
  const sent = known.replay?.state === 'sent' ? known.replay : null
  const join = joinCovers(event, known)
  if (join !== undefined && (sent?.listed_at ?? -1) < (join.upto ?? 0)) {
    return 'it joined the room after the event, which is still sticky'
  }
  if (sent !== null || !entitled(event, known)) return null
  const { pos } = event
  const gap = known.owed.find(
    ({ room, after_pos, cursor, upto }) =>
      room === null && pos > Math.max(after_pos, cursor) && pos <= (upto ?? Infinity),
  )
  return gap === undefined ? null : 'it is still sticky: sticky events go first in a catch-up'
}

/** For an entitled destination without a record of the event: where position and gaps put it. */
function passage(event: EventRow, known: FateFacts, now: number): Fate {
  const { pos } = event
  const { position } = known.destination
  // A room that waits has a cursor of its own.
  if (known.wait !== null && pos > known.wait.cursor) {
    return { ...nothing, outcome: 'pending', as: 'timeline', why: null }
  }
  const gap = known.gaps.findLast(({ from_pos, to_pos }) => from_pos < pos && pos <= to_pos)
  // A gap that retention opened may begin before what the timeline brought in the end.
  const broughtInTime = gap?.closed_at === null && pos <= position
  if (gap === undefined || broughtInTime || (gap.closed_at !== null && pos > position)) {
    if (pos <= position) return { ...nothing, outcome: 'delivered', as: 'timeline', why: FROM_POSITION }
    const why = `it has everything up to ${position}; this event is ${pos}`
    return { ...nothing, outcome: 'pending', as: 'timeline', why }
  }
  const alone = known.addressed && !inRoomThen(event, known)
  const range = `from ${gap.from_pos} to ${gap.to_pos}`
  if (alone || !known.overtaken) {
    if (gap.closed_at !== null || pos <= gap.cursor) {
      return { ...nothing, outcome: 'delivered', as: 'catch_up', why: FROM_POSITION }
    }
    const why = `catch-up ${range} goes in stream order and has reached ${gap.cursor}`
    return { ...nothing, outcome: 'pending', as: 'catch_up', why }
  }
  const end = gap.closed_at ?? now
  if (event.sticky_until !== null && (known.replay?.state === 'lapsed' || event.sticky_until <= end)) {
    const why = `it was no longer sticky when its turn came, and catch-up ${range} sent a newer event of the room`
    return {
      ...nothing,
      outcome: 'lapsed',
      as: 'sticky_replay',
      at: known.replay?.at ?? event.sticky_until,
      why,
    }
  }
  const why = `catch-up ${range} ${gap.closed_at === null ? 'sends' : 'sent'} a newer event of the room in its place`
  return { ...nothing, outcome: 'skipped', as: 'catch_up', at: gap.closed_at, why }
}

/** The skip that gave the event up: it was owed then, by its place or by a join that was to replay it. */
function skippedBy(event: EventRow, known: FateFacts): SkipRow | null {
  const { pos, sticky_until } = event
  if (entitled(event, known)) return known.skips.find((one) => one.from_pos < pos && pos <= one.upto) ?? null
  const replayed = (one: SkipRow) =>
    pos <= one.upto &&
    (sticky_until ?? 0) > one.at &&
    known.intervals.some(
      ({ since, until }) => since >= pos && since <= one.upto && (until === null || until > one.upto),
    )
  return known.replay === null && !known.leftOut ? (known.skips.find(replayed) ?? null) : null
}

/** Not what a catch-up had sent by then, as far as it had come. */
const isGivenUp = ({ pos }: EventRow, { overtaken }: FateFacts, { reached }: SkipRow): boolean =>
  pos > reached || overtaken

function whyNot(event: EventRow, known: FateFacts): string {
  if (event.exact === true) return 'the event was addressed only to other servers (`to`)'
  if (known.leftOut) return 'the event excluded it (`not_to`)'
  const { intervals } = known
  const after = intervals.find(({ since }) => since >= event.pos)
  const before = intervals.findLast(({ until }) => until !== null && until < event.pos)
  if (after !== undefined) {
    const late = event.sticky_until === null ? '' : ', too late for a sticky replay'
    return `it joined the room at ${after.since}, after the event (${event.pos})${late}`
  }
  if (before !== undefined) return `it left the room at ${before.until ?? 0}, before the event (${event.pos})`
  return 'it was never in the room'
}
