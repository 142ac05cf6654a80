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
  /** Resolves after `ms` milliseconds, or at once (without an error) when `signal` aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

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
      const timer = setTimeout(done, ms)
      signal?.addEventListener('abort', done, { once: true })
    }),
}
