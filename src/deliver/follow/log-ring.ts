/**
 * Which entries of the log were read lately? They are kept for destinations that are added a moment later: the newest, in the order of
 * their positions, without a hole. Pure.
 */
import type { LogEntry, LoggedEvent } from '../../store/delivery/log-tail.ts'

/** One object for all followers that are owed the same event. */
export interface OwedEvent {
  readonly event: LoggedEvent
  /** Of its text, and a comma. */
  readonly bytes: number
  /** When it was read, by the monotonic clock, ms. */
  readonly readAt: number
  /** Bytes of all texts that were read up to it, since the beginning. */
  readonly readBytes: number
}

export interface RecentEntry {
  readonly entry: LogEntry
  /** Null: a change. */
  readonly owed: OwedEvent | null
}

export interface RecentEntries {
  /** Every entry after this position is known. */
  from(): number
  /** Bytes of all texts that were read, since the beginning. */
  readBytes(): number
  /** The newest entry. */
  add(entry: LogEntry, readAt: number): RecentEntry
  since(after: number): readonly RecentEntry[]
  has(is: (event: LoggedEvent) => boolean): boolean
  /** Forgets all; what comes is after `at`. */
  empty(at: number): void
  /** Forgets the oldest, where there are too many. */
  trim(): void
}

/** Entries that are kept, and the bytes of their texts; twice that at times. */
const KEPT = 2_000
const KEPT_BYTES = 8_000_000

export function makeRecentEntries(): RecentEntries {
  let ring: RecentEntry[] = []
  let ringBytes = 0
  let from = 0
  let readBytes = 0

  const bytesOf = ({ owed }: RecentEntry): number => owed?.bytes ?? 0

  function owedEvent(event: LoggedEvent, readAt: number): OwedEvent {
    const bytes = Buffer.byteLength(event.pdu) + 1
    readBytes += bytes
    return { event, bytes, readAt, readBytes }
  }

  return {
    from: () => from,
    readBytes: () => readBytes,
    add(entry, readAt) {
      const kept = { entry, owed: entry.kind === 'event' ? owedEvent(entry, readAt) : null }
      ring.push(kept)
      ringBytes += bytesOf(kept)
      return kept
    },
    // Asked for what is near the end nearly always, so looked for from there.
    since(after) {
      let begin = ring.length
      while (begin > 0 && (ring[begin - 1]?.entry.pos ?? 0) > after) begin -= 1
      return ring.slice(begin)
    },
    has: (is) => ring.some(({ entry }) => entry.kind === 'event' && is(entry)),
    empty(at) {
      ring = []
      ringBytes = 0
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
    },
  }
}
