/** Reads what the planner decides from: no more of each lane than one transaction needs. */
import type { Pool } from '../store/db.ts'
import type { LoggedEvent } from '../store/delivery/log-tail.ts'
import type { DestinationState } from '../store/delivery/destination.ts'
import { LANES } from './lanes/list.ts'
import type { Items, Reading } from './lanes/lane.ts'
import type { Limits } from './rules/plan.ts'

/**
 * Reads the lanes of one destination: of each as much as a transaction takes, and one more, to know whether that is all. Of texts
 * no more than `maxBytes` in all, but of each lane the first.
 */
export async function readPending(
  pool: Pool,
  state: DestinationState,
  { maxPdus, maxBytes }: Limits,
): Promise<Reading> {
  const items: Record<string, Items> = {}
  let before = 0
  let bytes = maxBytes
  for (const lane of LANES) {
    const read = await lane.read(pool, state.id, state, { rows: maxPdus + 1, bytes, before })
    items[lane.name] = read
    before += read.pdus.length
    for (const { pdu } of read.pdus) bytes -= Buffer.byteLength(pdu) + 1
  }
  return { ...lookOf(state), items }
}

/**
 * Whether it is owed anything, found out as cheaply as can be: limpet does not connect to a server that is owed nothing. Null: something
 * is owed; else the reading of a destination whose lanes are empty, from which cursors may still move.
 */
export async function readIfNothingIsOwed(pool: Pool, state: DestinationState): Promise<Reading | null> {
  // The timeline is asked first: it is where something is owed nearly always.
  for (const lane of LANES.toReversed()) if (await lane.owes(pool, state.id, state)) return null
  return { ...lookOf(state), items: {} }
}

/** Lanes of a destination that is followed. */
const FOLLOWED = LANES.flatMap(({ name, takes }) => (takes === undefined ? [] : [{ name, takes }]))

/** The same for a destination that is followed, from what the log brought for it. */
export function readWaiting(
  waiting: readonly { event: LoggedEvent }[],
  maxPdus: number,
): Record<string, Items> {
  const next = waiting.length > maxPdus ? waiting.slice(0, maxPdus + 1) : waiting
  const all = next.length === waiting.length
  const items: Record<string, Items> = {}
  for (const { name, takes } of FOLLOWED) {
    const pdus = []
    for (const { event } of next) if (takes(event)) pdus.push(event)
    items[name] = { pdus, all }
  }
  return items
}

const lookOf = ({ now, position, head, gap, owed, unlistedAt }: DestinationState) => ({
  now,
  position,
  head,
  gap,
  owed,
  unlistedAt,
})
