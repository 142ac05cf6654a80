/**
 * Lets work that may wait go on as fast as this process has time to spare for it, so that thousands of pieces of it (connections to
 * servers that are all dead, say) don't fill the event loop beside work that may not wait.
 *
 * Always: it goes on, at no less than `LEAST` a second, however busy the process is, and at once while nothing is pressing. What is
 * tried for the first time goes before what has failed already, and each of the two in the order in which it came; but of so many that
 * begin, one has failed.
 */
import { performance } from 'node:perf_hooks'
import type { Clock } from './clock.ts'

export interface Spare {
  /** Waits until this piece may begin, or until `signal` aborts. */
  wait(signal: AbortSignal, hasFailed: boolean): Promise<void>
}

export interface SpareNeeds {
  clock: Pick<Clock, 'monotonic' | 'sleep'>
  /** The share of the time since the last call in which the event loop was at work, 0 to 1. */
  used: () => number
  /** Whether there is work beside it that may not wait. */
  pressing: () => boolean
}

/** For work that is not to wait. */
export const AT_ONCE: Spare = { wait: () => Promise.resolve() }

/** How often some may begin, ms: a few at a time, since what begins at once is in the way at once. */
const TICK_MS = 10
/** How often it is asked how busy the event loop was, ms: less time than that says little. */
const LOOK_MS = 100
/** As busy as the event loop should be: beyond this everything waits for everything. */
const BUSY = 0.7
/** Pieces a second. */
const [LEAST, MOST, AT_FIRST] = [25, 5_000, 25]
/** Of so many that begin one has failed before, where both wait. */
const ONE_OF = 8
/** What one look may change of the pace. */
const STEP = 0.2
/** A tick that comes late makes good for no more than this, ms. */
const LATE_MS = 50

export function makeSpare({ clock, used, pressing }: SpareNeeds): Spare {
  const [first, again] = [new Set<() => void>(), new Set<() => void>()]
  let begun = 0
  let letting = false

  const isWaiting = (): boolean => first.size + again.size > 0

  function beginNext(): void {
    begun += 1
    const [oldest] = first
    const [oldestAgain] = again
    if (begun % ONE_OF === 0) (oldestAgain ?? oldest)?.()
    else (oldest ?? oldestAgain)?.()
  }

  async function letIn(): Promise<void> {
    letting = true
    used()
    let [pace, due] = [AT_FIRST, 0]
    let [tickAt, lookAt] = [clock.monotonic(), clock.monotonic() + LOOK_MS]
    while (isWaiting()) {
      await clock.sleep(TICK_MS)
      const now = clock.monotonic()
      if (now >= lookAt) {
        pace = Math.min(MOST, Math.max(LEAST, pace * (used() > BUSY ? 1 - STEP : 1 + STEP)))
        lookAt = now + LOOK_MS
      }
      due += (pace * Math.min(now - tickAt, LATE_MS)) / 1_000
      tickAt = now
      if (!pressing()) due = Infinity
      for (; due >= 1 && isWaiting(); due -= 1) beginNext()
      if (!isWaiting()) due = 0
    }
    letting = false
  }

  return {
    wait(signal, hasFailed) {
      if (signal.aborted || (!isWaiting() && !pressing())) return Promise.resolve()
      const waiting = hasFailed ? again : first
      return new Promise((resolve) => {
        const begin = () => {
          waiting.delete(begin)
          signal.removeEventListener('abort', begin)
          resolve()
        }
        waiting.add(begin)
        signal.addEventListener('abort', begin, { once: true })
        if (!letting) void letIn()
      })
    },
  }
}

/** Tells at each call the share of the time since the last one in which this process' event loop was at work. */
export function eventLoopUse(): () => number {
  let last = performance.eventLoopUtilization()
  return () => {
    const before = last
    last = performance.eventLoopUtilization()
    return performance.eventLoopUtilization(last, before).utilization
  }
}
