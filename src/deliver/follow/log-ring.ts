/**
 * Which entries of the log were read lately? They are kept for destinations that are added a moment later: the newest, in the order of
 * their positions, without a hole. Pure.
 */
import { roomsOf } from './audience.ts'
import type { LogEntry, LoggedEdu, LoggedEvent } from '../../store/delivery/log-tail.ts'

interface Owed {
  /** Of its text, and a comma; of an EDU, of the EDU that it would be alone. */
  readonly bytes: number
  /** When it was read, by the monotonic clock, ms. */
  readonly readAt: number
  /** Bytes of all texts that were read up to it, since the beginning. */
  readonly readBytes: number
}

/** One object for all followers that are owed the same event. */
export interface OwedEvent extends Owed {
  readonly event: LoggedEvent
}

/** The same of an EDU. */
export interface OwedEdu extends Owed {
  readonly edu: LoggedEdu
}

export interface RecentEntry {
  readonly entry: LogEntry
  /** Null: a change. */
  readonly owed: OwedEvent | OwedEdu | null
}

export interface RecentEntries {
  /** Every entry after this position is known. */
  from(): number
  /** Bytes of all texts that were read, since the beginning. */
  readBytes(): number
  /** The newest entry. */
  add(entry: LogEntry, readAt: number): RecentEntry
  since(after: number): readonly RecentEntry[]
  /** The rooms that something after this position is for. */
  roomsSince(after: number): number[]
  has(is: (entry: LoggedEvent | LoggedEdu) => boolean): boolean
  /** Forgets all; what comes is after `at`. */
  empty(at: number): void
  /** Forgets the oldest, where there are too many. */
  trim(): void
}

/** Entries that are kept, and the bytes of their texts; twice that at times. */
export const KEPT = 5_000
const KEPT_BYTES = 8_000_000
/** What an EDU has beside its content, at most as long as types are: type, keys, a comma, and how long ago a user was active. */
const ENVELOPE_BYTES = 128

export function makeRecentEntries(): RecentEntries {
  let ring: RecentEntry[] = []
  let ringBytes = 0
  let from = 0
  let readBytes = 0
  // The newest position of each room: so many rooms are fewer than entries, and a destination that is added asks for nothing else of most of them.
  let newest = new Map<number, number>()

  const bytesOf = ({ owed }: RecentEntry): number => owed?.bytes ?? 0

  function owedOf(entry: LogEntry, readAt: number): OwedEvent | OwedEdu | null {
    if (entry.kind === 'change') return null
    const isEvent = entry.kind === 'event'
    const bytes = Buffer.byteLength(isEvent ? entry.pdu : entry.content) + (isEvent ? 1 : ENVELOPE_BYTES)
    readBytes += bytes
    const owed = { bytes, readAt, readBytes }
    return isEvent ? { event: entry, ...owed } : { edu: entry, ...owed }
  }

  return {
    from: () => from,
    readBytes: () => readBytes,
    add(entry, readAt) {
      const kept = { entry, owed: owedOf(entry, readAt) }
      ring.push(kept)
      ringBytes += bytesOf(kept)
      for (const room of roomsOf(entry)) newest.set(room, entry.pos)
      return kept
    },
    since(after) {
      let low = 0
      let high = ring.length
      while (low < high) {
        const middle = (low + high) >> 1
        if ((ring[middle]?.entry.pos ?? 0) > after) high = middle
        else low = middle + 1
      }
      return ring.slice(low)
    },
    roomsSince(after) {
      const rooms: number[] = []
      for (const [room, pos] of newest) if (pos > after) rooms.push(room)
      return rooms
    },
    has: (is) => ring.some(({ entry }) => entry.kind !== 'change' && is(entry)),
    empty(at) {
      ring = []
      ringBytes = 0
      newest.clear()
      from = at
    },
    trim() {
      if (ring.length <= 2 * KEPT && ringBytes <= 2 * KEPT_BYTES) return
      let gone = 0
      for (const kept of ring) {
        if (ring.length - gone <= KEPT && ringBytes <= KEPT_BYTES) break
        ringBytes -= bytesOf(kept)
        from = kept.entry.pos
        gone += 1
      }
      ring = ring.slice(gone)
      newest = new Map([...newest].filter(([, pos]) => pos > from))
    },
  }
}
