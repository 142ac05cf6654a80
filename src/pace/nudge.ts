/**
 * A wait that a nudge cuts short. Always: a nudge while nothing waits ends the next wait at once, so that none is lost between two of them.
 */
import type { Clock } from './clock.ts'
import { eitherSignal } from './either-signal.ts'

export interface Nudge {
  nudge(): void
  /** Resolves after `ms`, with a nudge, or when `signal` aborts. One at a time. */
  wait(ms: number, signal: AbortSignal): Promise<void>
}

// With a reason, `abort` builds no Error with a stack each time.
const NUDGED = Symbol('nudged')

export function makeNudge(clock: Clock): Nudge {
  let nudged = false
  let waiting: AbortController | null = null
  return {
    nudge() {
      nudged = true
      waiting?.abort(NUDGED)
    },
    async wait(ms, signal) {
      if (!nudged && !signal.aborted) {
        waiting = new AbortController()
        const either = eitherSignal(signal, waiting.signal)
        await clock.sleep(ms, either.signal)
        either.forget()
        waiting = null
      }
      nudged = false
    },
  }
}
