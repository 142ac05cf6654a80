/**
 * A wait that a nudge cuts short.
 *
 * Synapse publishes that there are events a moment before it notes how far its stream is finished, so one look right
 * after a nudge may be too early: for half a second after it, looks follow each other quickly.
 */
import type { Clock } from '../../clock.ts'

const QUICK_MS = 50
const QUICK_FOR_MS = 500

export interface Bell {
  ring(): void
  /** Resolves after `ms`, soon after a ring, or at once when `signal` aborts. */
  wait(ms: number, signal: AbortSignal): Promise<void>
}

export function makeBell(clock: Clock): Bell {
  let quickUntil = -Infinity
  let wake: (() => void) | null = null
  return {
    ring() {
      quickUntil = clock.monotonic() + QUICK_FOR_MS
      wake?.()
    },
    async wait(ms, signal) {
      if (clock.monotonic() < quickUntil) {
        await clock.sleep(Math.min(QUICK_MS, ms), signal)
        return
      }
      const waking = new AbortController()
      wake = () => waking.abort()
      signal.addEventListener('abort', wake, { once: true })
      await clock.sleep(signal.aborted ? 0 : ms, waking.signal)
      signal.removeEventListener('abort', wake)
      wake = null
    },
  }
}
