/** Waits of one attempt that end early: with its signal, or when its time is up. */

/** Aborts with `signal`, or after `ms`. */
export function limit(signal: AbortSignal, ms: number): { signal: AbortSignal; forget: () => void } {
  const either = new AbortController()
  const abort = () => either.abort()
  const timer = setTimeout(abort, Math.max(0, ms))
  signal.addEventListener('abort', abort, { once: true })
  if (signal.aborted) abort()
  return {
    signal: either.signal,
    forget() {
      clearTimeout(timer)
      signal.removeEventListener('abort', abort)
    },
  }
}

/** What `promise` brings, or null as soon as `signal` aborts. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | null> {
  return new Promise((resolve, reject) => {
    const abort = () => resolve(null)
    signal.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
    if (signal.aborted) abort()
  })
}
