/** What a signal does to a command that runs until it is interrupted: the first one ends it in good order, a later one at once. */

/** A terminal sends SIGINT to npm and to us, and npm passes its own on: two within this time are one Ctrl-C. */
const SAME_CTRL_C_MS = 250

/** `stop` aborts at the first signal. Returns what takes the listeners off again. */
export function stopOnSignal(stop: AbortController): () => void {
  let first: number | null = null
  const onSignal = (signal: NodeJS.Signals) => {
    const now = performance.now()
    if (first === null) {
      first = now
      stop.abort()
    } else if (now - first > SAME_CTRL_C_MS) {
      process.exit(signal === 'SIGINT' ? 130 : 143)
    }
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  return () => {
    process.off('SIGINT', onSignal)
    process.off('SIGTERM', onSignal)
  }
}

export const untilAborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
