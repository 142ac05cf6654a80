/** A clock that a test moves by hand: who sleeps wakes when it is moved past that time, and nobody waits for real. */
import type { Clock } from '../../src/pace/clock.ts'

export interface HandClock extends Clock {
  /** Moves both clocks on, and lets everything run that is due. */
  move(ms: number): Promise<void>
  /** How many sleep. */
  sleeping(): number
  /** The clock on the wall alone is set. */
  setWall(by: number): void
}

export function handClock(): HandClock {
  let time = 0
  let wallAhead = 1_700_000_000_000
  const sleepers = new Set<{ at: number; wake: () => void }>()

  return {
    now: () => time + wallAhead,
    monotonic: () => time,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        const sleeper = { at: time + ms, wake }
        function wake(): void {
          sleepers.delete(sleeper)
          signal?.removeEventListener('abort', wake)
          resolve()
        }
        if (signal?.aborted === true) resolve()
        else {
          signal?.addEventListener('abort', wake, { once: true })
          sleepers.add(sleeper)
        }
      }),
    sleeping: () => sleepers.size,
    setWall(by) {
      wallAhead += by
    },
    async move(ms) {
      const until = time + ms
      for (;;) {
        await settled()
        const next = [...sleepers].sort((a, b) => a.at - b.at)[0]
        if (next === undefined || next.at > until) break
        time = Math.max(time, next.at)
        next.wake()
      }
      time = until
      await settled()
    },
  }
}

/** Everything that waits for nothing but promises has run. */
export const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
