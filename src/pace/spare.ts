/**
 * Lets work that may wait go on as fast as this process has time to spare for it, so that thousands of pieces of it (connections to
 * servers that are all dead, say) don't fill the event loop beside work that may not wait.
 *
 * Always: it goes on, if slowly, however busy the process is; in the order in which it came; and at once while nothing is pressing.
 */
import { performance } from 'node:perf_hooks'
import type { Clock } from './clock.ts'

export interface Spare {
  /** Waits until the next piece may begin, or until `signal` aborts. */
  wait(signal: AbortSignal): Promise<void>
}

export interface SpareNeeds {
  clock: Clock
  /** The share of the time since the last call in which the event loop was at work, 0 to 1. */
  used: () => number
  /** Whether there is work beside it that may not wait. */
  pressing: () => boolean
}

/** How often some may begin, ms. */
const TICK_MS = 20
/** As busy as the event loop should be at most: beyond this everything waits for everything. */
const BUSY = 0.8
/** Pieces a tick, for each part of the time that is left below that. */
const A_TICK = 40
/** What the newest tick counts for: one alone says little. */
const NEWEST = 0.3

export function makeSpare({ clock, used, pressing }: SpareNeeds): Spare {
  const waiting = new Set<() => void>()
  let usual = 0
  let letting = false

  async function letIn(): Promise<void> {
    letting = true
    used()
    while (waiting.size > 0) {
      await clock.sleep(TICK_MS)
      usual += (used() - usual) * NEWEST
      let most = pressing() ? 1 + Math.floor(Math.max(0, BUSY - usual) * A_TICK) : Infinity
      for (const begin of waiting) {
        if ((most -= 1) < 0) break
        begin()
      }
    }
    letting = false
  }

  return {
    wait(signal) {
      if (signal.aborted || (waiting.size === 0 && !pressing())) return Promise.resolve()
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
