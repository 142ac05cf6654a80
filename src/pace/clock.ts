/**
 * Time as a part that is passed in, so that a test owns it.
 *
 * What is *decided* by time (lapse, backoff, leases) uses the database's clock (`now_ms()`, see
 * `store/db.ts`); this one is for waits and for measuring how long something took.
 */
export interface Clock {
  /** Milliseconds since the epoch by this machine's clock. */
  now(): number
  /** Milliseconds that only ever move forward, also while the process is stopped. */
  monotonic(): number
  /** Resolves after `ms` milliseconds, however many, or at once (without an error) when `signal` aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** A timer that is longer fires at once: one that is asked for over and over is a loop that never rests, ms. */
export const LONGEST_TIMER_MS = 2 ** 31 - 1

/** A timer's length: no longer than one can be. */
export const timerMs = (ms: number): number => Math.min(ms, LONGEST_TIMER_MS)

/** Returns a number in [0, 1). */
export type Random = () => number

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) {
        resolve()
        return
      }
      const done = () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', done)
        resolve()
      }
      const wait = (left: number): NodeJS.Timeout =>
        setTimeout(() => {
          if (left <= LONGEST_TIMER_MS) done()
          else timer = wait(left - LONGEST_TIMER_MS)
        }, timerMs(left))
      let timer = wait(ms)
      signal?.addEventListener('abort', done, { once: true })
    }),
}
