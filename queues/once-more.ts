/**
 * Runs `work` at most once at a time, and once more afterwards if it was asked for while it ran.
 *
 * Each caller gets the result of a run that began after it asked, so the run sees whatever the caller did before. A
 * thousand callers at once cost two runs.
 */
export function makeOnceMore(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | null = null
  let next: Promise<void> | null = null

  function start(): Promise<void> {
    running = work().finally(() => {
      running = null
    })
    return running
  }

  return function ask(): Promise<void> {
    if (!running) return start()
    next ??= running
      .catch(() => undefined)
      .then(() => {
        next = null
        return ask()
      })
    return next
  }
}
