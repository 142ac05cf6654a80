/**
 * How much of its time has an attempt left? What it waited for something of our own (`Runner.hold`) does not count: that is
 * never the other side's failure.
 */
import type { Clock } from '../pace/clock.ts'
import type { Runner } from './race.ts'

export interface Timed extends Runner {
  /** Milliseconds, never less than 0. */
  left(): number
}

export function timed(runner: Runner, ms: number, clock: Clock): Timed {
  let until = clock.monotonic() + ms
  let holds = 0
  let since = 0
  return {
    signal: runner.signal,
    hold() {
      if (holds++ === 0) since = clock.monotonic()
      runner.hold()
    },
    moved() {
      if (--holds === 0) until += clock.monotonic() - since
      runner.moved()
    },
    left: () => Math.max(0, until - (holds > 0 ? since : clock.monotonic())),
  }
}
