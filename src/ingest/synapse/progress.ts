/**
 * How the source is doing in this process: does our place move while Synapse's stream does? Pure but for the clock.
 *
 * *Behind* counts from when the oldest thing that we have not taken was first seen, so steady traffic never adds up.
 * If the stream can't be read, it counts from when it last could be. *Stalled* means behind for a minute in which
 * nothing was taken or read further, or in which the stream could not be read. A source that catches up with much, or
 * works for minutes on one window (a ban that redacts thousands of events), is behind but running. A source that waits
 * for an operator is stalled from the start.
 */
import type { Clock } from '../../pace/clock.ts'

export type SourceState = 'running' | 'stalled' | 'stopped'

export interface SourceReport {
  readonly state: SourceState
  readonly head: number | null
  readonly place: number | null
  /** How long it has been behind, ms; null: it is not. */
  readonly behindMs: number | null
  /** What failed since the last report. */
  readonly error: string | null
}

export interface Progress {
  /** The stream was looked at: it ends at `head`, and we are at `place`. */
  saw(head: number, place: number): void
  /** Something of what is beyond our place was stored; the place itself may be where it was: a ban may redact very much. */
  stored(): void
  /** The stream was read up to the event at `at`, which is not stored yet; counts where it is further than ever before. */
  readTo(at: number): void
  failed(error: unknown): void
  /** Nothing is taken until an operator says so, and why; null: it goes on. */
  stopped(reason: string | null): void
  /** What is to be told others now. */
  report(): SourceReport
}

const STALLED_MS = 60_000
/** A look is due every second or so; one that is this late is missed. */
const LATE_MS = 15_000
const MOST_MARKS = 1_000
const LONGEST_ERROR = 500

export function makeProgress(clock: Pick<Clock, 'monotonic'>): Progress {
  const begun = clock.monotonic()
  let head: number | null = null
  let place: number | null = null
  let lookedAt = begun
  let movedAt = begun
  let error: string | null = null
  let halted: { reason: string; at: number } | null = null
  // Ends of the stream beyond our place, oldest first, and when each was first seen.
  let marks: { head: number; at: number }[] = []
  let astray: number | null = null
  let furthest = 0

  function worked(): void {
    lookedAt = movedAt = clock.monotonic()
  }

  return {
    saw(end, here) {
      const now = clock.monotonic()
      if (here !== place) movedAt = now
      if (place !== null && here < place) furthest = here
      ;[head, place, lookedAt] = [end, here, now]
      marks = marks.filter((mark) => mark.head > here)
      if (end > here && (marks.at(-1)?.head ?? here) < end && marks.length < MOST_MARKS)
        marks.push({ head: end, at: now })
      // Its stream ends before our place: nothing of it can be taken.
      astray = here > end ? (astray ?? now) : null
    },
    stored: worked,
    readTo(at) {
      // What fails again and again is read again and again.
      if (at <= furthest) return
      furthest = at
      worked()
    },
    failed(cause) {
      error = (cause instanceof Error ? cause.message : String(cause)).slice(0, LONGEST_ERROR)
    },
    stopped(reason) {
      const now = clock.monotonic()
      if (reason !== null) lookedAt = now
      halted = reason === null ? null : { reason: reason.slice(0, LONGEST_ERROR), at: halted?.at ?? now }
    },
    report() {
      const now = clock.monotonic()
      const waitsSince = halted?.at ?? astray ?? marks[0]?.at ?? null
      const unseen = now - lookedAt > LATE_MS ? lookedAt : null
      const since = waitsSince === null ? unseen : waitsSince
      const still = now - Math.max(movedAt, waitsSince ?? now) >= STALLED_MS
      const blind = now - lookedAt >= STALLED_MS
      const told = error ?? halted?.reason ?? null
      error = null
      const behindMs = since === null ? null : Math.round(now - since)
      return {
        state: halted !== null || still || blind ? 'stalled' : 'running',
        head,
        place,
        behindMs,
        error: told,
      }
    },
  }
}
