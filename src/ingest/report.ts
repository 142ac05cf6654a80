/** What a request did: its answer, and what is counted. Filled item by item, and read after the commit. */
import type { EduIgnoredWhy, Item } from './items.ts'

/** Why something was left out: our own name, not a server name, it changes nothing, it is unknown; or why a part of an EDU was. */
export type IgnoredWhy = 'own_name' | 'invalid_name' | 'no_change' | 'unknown' | EduIgnoredWhy

export interface ItemCounts {
  /** Items that were taken, by type; duplicates are none. */
  readonly taken: Map<Item['type'], number>
  readonly ignored: Map<IgnoredWhy, number>
  /** Pairs of an event, or a durable EDU, and a destination that a `purge` gave up. */
  purged: number
}

export interface IngestReport {
  accepted: number
  duplicates: number
  readonly ignored: { index: number; value: string }[]
  readonly unknownRooms: Set<string>
  readonly counts: ItemCounts
}

export function emptyReport(): IngestReport {
  const counts = { taken: new Map(), ignored: new Map(), purged: 0 }
  return { accepted: 0, duplicates: 0, ignored: [], unknownRooms: new Set(), counts }
}

export function accept(report: IngestReport, type: Item['type']): void {
  report.accepted += 1
  addOne(report.counts.taken, type)
}

/** Leaves out `value` (a name or an id) of the item at `index`, and lists it. */
export function leaveOut(report: IngestReport, index: number, value: string, why: IgnoredWhy): void {
  report.ignored.push({ index, value })
  addOne(report.counts.ignored, why)
}

function addOne<Key>(counts: Map<Key, number>, key: Key): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}
