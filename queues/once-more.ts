/**
 * Runs `work` at most once at a time, and once more after it when somebody asked meanwhile.
 *
 * Everybody's promise is that of a run which began after they asked, so whatever they did before is seen by it;
 * a thousand who ask at once cost two runs.
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
