/**
 * A wait that a nudge cuts short, and how often limpet looks after a nudge.
 *
 * Synapse publishes that there are events a moment before it notes how far its stream is finished. A look right after
 * a nudge may therefore be too early, so looks follow each other quickly until one finds what was announced, for at
 * most half a second. Many nudges within a short time are one look. The announcement is used for nothing else.
 */
import type { Clock } from '../../pace/clock.ts'

const LEAST_WAIT_MS = 50
const QUICK_FOR_MS = 500

export interface Bell {
  /** `upTo`: the number of what was announced; null: not told, and any news will do. */
  ring(upTo: number | null): void
  /** A look begins; call what it returns with the stream's end. */
  look(): (head: number) => void
  /** Resolves after `ms`, soon after a ring, or at once when `signal` aborts. */
  wait(ms: number, signal: AbortSignal): Promise<void>
}

export function makeBell(clock: Clock): Bell {
  let quickUntil = -Infinity
  let wake: (() => void) | null = null
  /** When the newest look began that a ring brought about. */
  let answeredAt = -Infinity
  let answering = false
  let head = -Infinity
  /** What was announced and not seen yet. */
  let wanted: number | null = null
  /** The ring of unknown contents that was not answered yet, by its number. */
  let unknown: number | null = null
  let rings = 0
  const unanswered = () => wanted !== null || unknown !== null

  return {
    ring(upTo) {
      if (upTo !== null && upTo <= head) return
      rings += 1
      if (upTo === null) unknown = rings
      else wanted = Math.max(wanted ?? 0, upTo)
      quickUntil = clock.monotonic() + QUICK_FOR_MS
      wake?.()
    },
    look() {
      const before = rings
      if (answering) answeredAt = clock.monotonic()
      answering = false
      return (end) => {
        if (wanted !== null && end >= wanted) wanted = null
        // One that rings during the look may be about what it did not see.
        if (unknown !== null && unknown <= before && end > head) unknown = null
        head = end
      }
    },
    async wait(ms, signal) {
      const now = clock.monotonic()
      if (now >= quickUntil) wanted = unknown = null
      if (unanswered()) {
        answering = true
        await clock.sleep(Math.min(LEAST_WAIT_MS, ms), signal)
        return
      }
      const waking = new AbortController()
      wake = () => waking.abort()
      signal.addEventListener('abort', wake, { once: true })
      await clock.sleep(signal.aborted ? 0 : ms, waking.signal)
      signal.removeEventListener('abort', wake)
      wake = null
      answering = unanswered()
      const early = answeredAt + LEAST_WAIT_MS - clock.monotonic()
      if (answering && early > 0) await clock.sleep(early, signal)
    },
  }
}

/** What a message of Synapse's replication announces about its event stream: the ring's argument; undefined: nothing. */
export function announcedBy(message: string): number | null | undefined {
  // The last row of those that were written at once has the number for all of them.
  const [command, stream, , ...numbers] = message.split(' ', 5)
  if (stream !== 'events' || (command !== 'RDATA' && command !== 'POSITION')) return undefined
  const number = command === 'RDATA' ? numbers[0] : numbers[1]
  if (number === 'batch') return undefined
  return number !== undefined && /^\d{1,15}$/.test(number) ? Number(number) : null
}
