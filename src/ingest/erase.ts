/**
 * Which events do `erase` items take? What is stored at that point of the stream: of the batch, too, what stands before the item,
 * and nothing that comes after it.
 */
import {
  storedAhead,
  storedOf,
  type BySender,
  type Erasure,
  type StoredAhead,
} from '../store/ingest/erase.ts'
import type { StoredEvent } from '../store/ingest/content.ts'
import { isUnavailable, type Db } from '../store/db.ts'
import type { EraseItem, Item } from './items.ts'

/** The senders that these items erase. */
export const sendersErased = (items: readonly Item[]): string[] => [
  ...new Set(items.flatMap((item) => (item.type === 'erase' && item.sender !== null ? [item.sender] : []))),
]

/** The events that they name. */
export const idsErased = (items: readonly Item[]): string[] =>
  items.flatMap((item) => (item.type === 'erase' && item.sender === null ? item.eventIds : []))

/** What is stored of the senders that a request erases, before anything is locked; null: there are none. */
export function lookAhead(db: Db, items: readonly Item[]): Promise<StoredAhead | undefined> | null {
  const senders = sendersErased(items)
  if (senders.length === 0) return null
  return storedAhead(db, senders).catch((error: unknown) => {
    // What takes the request finds that out as well, and says so.
    if (isUnavailable(error)) return undefined
    throw error
  })
}

/** What is stored of `senders`: what was found before the lock was taken, and what came since. Hold the stream's lock. */
export async function storedNow(
  db: Db,
  senders: readonly string[],
  head: number,
  ahead: readonly StoredAhead[],
): Promise<BySender> {
  if (senders.length === 0) return new Map()
  const found: BySender = new Map()
  let after = head
  for (const sender of senders) {
    // None of it counts where the database failed over to an older state.
    const known = ahead.find(({ of, upto }) => of.has(sender) && upto <= head)
    found.set(sender, [...(known?.of.get(sender) ?? [])])
    after = Math.min(after, known?.upto ?? 0)
  }
  for (const [sender, places] of await storedOf(db, senders, { after, upto: head })) {
    const before = found.get(sender) ?? []
    const have = new Set(before.map(({ pos }) => pos))
    found.set(sender, [...before, ...places.filter(({ pos }) => !have.has(pos))])
  }
  return found
}

/** What is known of the events that items of the batch erase; it grows with the batch. */
export interface Erasing {
  /** Of each sender that the batch erases. */
  readonly of: BySender
  /** Not written yet. */
  readonly erasures: Erasure[]
}

/**
 * Stages `item` at `pos`. Returns the ids, or the sender, that are not known; an event that was erased can no longer be the target of a later item.
 * `targets`: the events that the batch names.
 */
export function stageErase(
  { of, erasures }: Erasing,
  item: EraseItem,
  pos: number,
  targets: Map<string, StoredEvent>,
): { rooms: Set<number>; unknown: string[] } {
  const { sender } = item
  const unknown: string[] = []
  const erased = sender === null ? [] : (of.get(sender) ?? [])
  if (sender !== null) {
    if (erased.length === 0) unknown.push(sender)
    of.set(sender, [])
  } else
    for (const eventId of item.eventIds) {
      const target = targets.get(eventId)
      if (target === undefined) unknown.push(eventId)
      else erased.push({ pos: target.pos, room: target.room })
    }
  const gone = new Set(erased.map(({ pos }) => pos))
  for (const [eventId, target] of targets) if (gone.has(target.pos)) targets.delete(eventId)
  if (sender === null)
    for (const [one, places] of of)
      of.set(
        one,
        places.filter(({ pos }) => !gone.has(pos)),
      )
  if (erased.length > 0) erasures.push({ pos, erased, sender })
  return { rooms: new Set(erased.map(({ room }) => room)), unknown }
}

/** A purge takes them; an `erase` after it does not find them. */
export function forgetRoom({ of }: Erasing, room: number): void {
  for (const [sender, places] of of)
    of.set(
      sender,
      places.filter((place) => place.room !== room),
    )
}
