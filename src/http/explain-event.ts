/** Joins what is kept about events by destination, so that the fate of each can be told. Pure. */
import type { CarriedRow } from '../store/views/event-attempts.ts'
import type { EventFacts, EventRow } from '../store/views/event-facts.ts'
import type { DestinationRow } from '../store/views/destination-row.ts'
import { reasonOf } from './describe-destination.ts'
import { fateOf, type Fate, type Known } from './event-fate.ts'

/** What one look-up of an event adds: attempts and newer events, which a list of events goes without. */
export interface Details {
  carried: readonly CarriedRow[]
  overtaken: ReadonlySet<number>
}

export interface Told {
  destination: DestinationRow
  fate: Fate
}

/**
 * Tells what became of events of `facts` for every destination that one ever concerned: `tell(event)`.
 * Without `details` no transactions are named, and what a gap passed by counts as skipped.
 */
export function makeTell(facts: EventFacts, details: Details | null): (event: EventRow) => Told[] {
  const byDestination = new Map(facts.destinations.map((row) => [row.id, row]))
  const rooms = groupBy(facts.intervals, ({ room }) => room)
  const intervals = new Map([...rooms].map(([room, rows]) => [room, groupBy(rows, of)]))
  const replays = groupBy(facts.replays, ({ pos }) => pos)
  const gaps = groupBy(facts.gaps, of)
  const owed = groupBy(facts.owed, of)
  const open = groupBy(facts.open, of)
  const carried = groupBy(details?.carried ?? [], of)
  return (event) => {
    const { pos, room, exact } = event
    const inRoom = intervals.get(room) ?? new Map<number, never[]>()
    const replayOf = new Map((replays.get(pos) ?? []).map((row) => [row.destination, row]))
    const list = new Set(event.list)
    const less = new Set(event.less)
    return [...byDestination.values()].map((destination) => {
      const { id } = destination
      const known: Known = {
        destination,
        addressed: list.has(id),
        leftOut: !list.has(id) && (exact === true || less.has(id)),
        intervals: inRoom.get(id) ?? [],
        gaps: gaps.get(id) ?? [],
        replay: replayOf.get(id) ?? null,
        owed: owed.get(id) ?? [],
        open: open.get(id)?.find(({ positions }) => positions.includes(pos)) ?? null,
        carried: carried.get(id) ?? [],
        overtaken: details?.overtaken.has(id) ?? true,
      }
      return { destination, fate: fateOf(event, known, facts.now) }
    })
  }
}

/** One line of `GET /v1/events/{event_id}`; what is pending also says what holds its destination. */
export function viewFate({ destination, fate }: Told, now: number) {
  const { outcome, as, txn_id, at } = fate
  const behind = outcome === 'pending' ? reasonOf(destination, { now }) : null
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
