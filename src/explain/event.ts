/** Groups what is stored about events by destination, so that the fate of each can be told. Pure. */
import type { CarriedRow } from '../store/views/event-attempts.ts'
import type { EventFacts, EventRow, Interval } from '../store/views/event-facts.ts'
import type { DestinationRow } from '../store/views/destination-row.ts'
import { obstacleOf, type Circumstances } from './destination.ts'
import { covers, fateOf, type FateFacts } from './event-fate.ts'
import type { Fate, Outcome } from './fate.ts'

/** What the look-up of one event adds: attempts and newer events, which a list of events goes without. */
export interface Details {
  carried: readonly CarriedRow[]
  overtaken: ReadonlySet<number>
}

export interface ToldFate {
  destination: DestinationRow
  fate: Fate
}

/** Tells what became of an event for every destination of `facts`. */
export function tellEvent(event: EventRow, facts: EventFacts, { carried, overtaken }: Details): ToldFate[] {
  const { knownOf } = joinFacts(facts)
  const attempts = groupBy(carried, of)
  const known = knownOf(event)
  return facts.destinations.map((destination) => {
    const details = { carried: attempts.get(destination.id) ?? [], overtaken: overtaken.has(destination.id) }
    return { destination, fate: fateOf(event, { ...known(destination), ...details }, facts.now) }
  })
}

/** It may still arrive. */
const OWED: ReadonlySet<Outcome> = new Set(['pending', 'set_aside', 'held'])

/**
 * Counts for events of `facts` the destinations that have each and those still owed it: `tally(event)`. What a gap passed by
 * counts as skipped. A destination without a gap, a replay or an open transaction is told at a glance: there may be thousands.
 */
export function makeTally(facts: EventFacts): (event: EventRow) => { owed_to: string[]; delivered: number } {
  const { knownOf, inRoomOf, replaysOf } = joinFacts(facts)
  const byId = new Map(facts.destinations.map((row) => [row.id, row]))
  const { gaps, owed, open, skips, apart, waits, givenUp } = facts
  const special = new Set([...gaps, ...owed, ...open, ...skips, ...apart, ...waits, ...givenUp].map(of))
  return (event) => {
    const { pos, list, less } = event
    const inRoom = inRoomOf(event)
    const replays = replaysOf(event)
    const known = knownOf(event)
    const owed_to: string[] = []
    let delivered = 0
    for (const id of new Set([...inRoom.keys(), ...(list ?? []), ...replays.keys()])) {
      const destination = byId.get(id)
      if (destination === undefined) continue
      const plain = list === null && less === null && !special.has(id) && !replays.has(id)
      if (plain && !(inRoom.get(id) ?? []).some((one) => covers(one, pos))) continue
      const outcome = plain
        ? destination.position < pos
          ? 'pending'
          : 'delivered'
        : fateOf(event, { ...known(destination), carried: [], overtaken: true }, facts.now).outcome
      if (OWED.has(outcome)) owed_to.push(destination.name)
      else if (outcome === 'delivered' || outcome === 'acknowledged') delivered += 1
    }
    return { owed_to: owed_to.sort(), delivered }
  }
}

function joinFacts(facts: EventFacts) {
  const rooms = groupBy(facts.intervals, ({ room }) => room)
  const intervals = new Map([...rooms].map(([room, rows]) => [room, groupBy(rows, of)]))
  const replays = groupBy(facts.replays, ({ pos }) => pos)
  const gaps = groupBy(facts.gaps, of)
  const owed = groupBy(facts.owed, of)
  const open = groupBy(facts.open, of)
  const skips = groupBy(facts.skips, of)
  const apart = groupBy(facts.apart, of)
  const waits = groupBy(facts.waits, of)
  const givenUp = groupBy(facts.givenUp, of)
  const inRoomOf = ({ room }: EventRow) => intervals.get(room) ?? new Map<number, Interval[]>()
  const replaysOf = ({ pos }: EventRow) =>
    new Map((replays.get(pos) ?? []).map((row) => [row.destination, row]))
  const knownOf = (event: EventRow) => {
    const list = new Set(event.list)
    const less = new Set(event.less)
    const inRoom = inRoomOf(event)
    const replayOf = replaysOf(event)
    return (destination: DestinationRow): Omit<FateFacts, 'carried' | 'overtaken'> => {
      const { id } = destination
      return {
        destination,
        addressed: list.has(id),
        leftOut: !list.has(id) && (event.exact === true || less.has(id)),
        intervals: inRoom.get(id) ?? [],
        gaps: gaps.get(id) ?? [],
        replay: replayOf.get(id) ?? null,
        owed: owed.get(id) ?? [],
        skips: skips.get(id) ?? [],
        open: open.get(id)?.find(({ positions }) => positions.includes(event.pos)) ?? null,
        apart: apart.get(id)?.find(({ pos }) => pos === event.pos) ?? null,
        wait: waits.get(id)?.find(({ room }) => room === event.room) ?? null,
        givenUp: givenUp.get(id)?.find(({ pos }) => pos === event.pos) ?? null,
      }
    }
  }
  return { inRoomOf, replaysOf, knownOf }
}

/** One line of `GET /v1/events/{event_id}`; what may still arrive also says what holds its destination. */
export function viewFate({ destination, fate }: ToldFate, around: Circumstances) {
  const { outcome, as, txn_id, at } = fate
  const obstacle = OWED.has(outcome) ? obstacleOf(destination, around) : null
  const isNext = outcome === 'pending' && fate.waits !== true
  const behind = obstacle ?? (isNext ? 'it goes out next' : null)
  const why = [fate.why, behind].filter((part) => part !== null).join('; ')
  return { destination: destination.name, outcome, as, txn_id, at, why: why === '' ? null : why }
}

const of = ({ destination }: { destination: number }) => destination

function groupBy<Row, Key>(rows: readonly Row[], keyOf: (row: Row) => Key): Map<Key, Row[]> {
  const groups = new Map<Key, Row[]>()
  for (const row of rows) {
    const group = groups.get(keyOf(row))
    if (group === undefined) groups.set(keyOf(row), [row])
    else group.push(row)
  }
  return groups
}
