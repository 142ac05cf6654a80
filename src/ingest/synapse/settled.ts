/**
 * Up to which number of Synapse's event stream can nothing come any more? Pure but for the clock.
 *
 * A number is drawn before the transaction that writes its event begins. So a missing number may have been given up,
 * or may still come. A number that was drawn before a look is settled once every transaction that was open at that
 * look has ended, and once some time has passed in which a transaction could still begin. How much time depends on which writer
 * may have drawn it:
 *
 * - *soon*: the writer has said that its own numbers are finished, and only a writer that we don't know of could have
 *   drawn this one;
 * - *late*: no writer has said anything. Between drawing and writing Synapse runs further statements, and PostgreSQL ends
 *   each after at most ten minutes (`statement_timeout`, Synapse's default).
 */
import type { Clock } from '../../pace/clock.ts'

export interface StreamSight {
  /** The newest number that is known to be drawn. */
  readonly newest: number
  /** The lowest transaction that is open, and the lowest that has not begun (`pg_current_snapshot()`). */
  readonly xmin: number
  readonly xmax: number
  /** Which server was asked: another one's transactions say nothing about this one's. */
  readonly server: string
}

export interface SettledStream {
  saw(sight: StreamSight): void
  readonly soon: number
  readonly late: number
}

export const SOON_MS = 1_000
/** Another application's transaction on the same server may stay open for hours, and what all wait for is then most likely nothing. */
export const MOST_SOON_MS = 10_000
export const LATE_MS = 11 * 60_000
/** With more marks than this, looks that follow each other sooner count as one. */
const MANY = 200
const APART_MS = 1_000

interface Mark {
  readonly newest: number
  readonly xmax: number
  readonly at: number
}

export function makeSettled(clock: Pick<Clock, 'monotonic'>): SettledStream {
  let marks: Mark[] = []
  let server = ''
  let soon = 0
  let late = 0

  return {
    saw(sight) {
      const now = clock.monotonic()
      const last = marks.at(-1)
      if (sight.server !== server || sight.newest < (last?.newest ?? 0)) {
        // Another server, or a database that went back.
        ;[marks, soon, late] = [[], 0, 0]
        server = sight.server
      }
      const isNew = marks.length === 0 || sight.newest > (marks.at(-1)?.newest ?? 0)
      if (isNew && (marks.length < MANY || now - (marks.at(-1)?.at ?? -Infinity) >= APART_MS))
        marks.push({ newest: sight.newest, xmax: sight.xmax, at: now })
      for (const { newest, xmax, at } of marks) {
        const ended = sight.xmin >= xmax
        if (now - at >= (ended ? SOON_MS : MOST_SOON_MS)) soon = Math.max(soon, newest)
        if (ended && now - at >= LATE_MS) late = Math.max(late, newest)
      }
      // The newest one stays: it says what was seen already.
      marks = marks.filter(
        ({ newest, at }, i) => i === marks.length - 1 || (newest > late && now - at < 2 * LATE_MS),
      )
    },
    get soon() {
      return soon
    },
    get late() {
      return late
    },
  }
}
