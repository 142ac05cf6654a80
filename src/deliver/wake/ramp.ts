/**
 * How many due destinations may be woken now: no more than so many in any second.
 *
 * After a start, or an outage of ours, thousands are due at once. Woken together they would all look themselves up, connect and read the
 * log at the same time, and what is said to servers that are well would come late. What was not used in one second is not left for another.
 */
import type { Clock } from '../../pace/clock.ts'

export interface Ramp {
  /** So many more may be woken now. */
  room(): number
  /** So many were let through. */
  note(count: number): void
}

const SECOND_MS = 1_000

export function makeRamp(clock: Pick<Clock, 'monotonic'>, perSecond: () => number): Ramp {
  // Of the last second, oldest first: each look adds one entry at most.
  let through: { at: number; count: number }[] = []
  return {
    room() {
      const now = clock.monotonic()
      through = through.filter(({ at }) => now - at < SECOND_MS)
      return Math.max(0, perSecond() - through.reduce((sum, { count }) => sum + count, 0))
    },
    note(count) {
      if (count > 0) through.push({ at: clock.monotonic(), count })
    },
  }
}
