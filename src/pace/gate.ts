/** Lets at most a given number through at once; the others wait in the order in which they came. */
export interface Gate {
  within<T>(work: () => Promise<T>): Promise<T>
  /** A place at once, or null. */
  take(): Leave | null
  /** Waits for a place; null where `signal` ended the wait. Call the result once, to give the place up. */
  enter(signal?: AbortSignal): Promise<Leave | null>
}

/** Gives up a place. */
export type Leave = () => void

export function makeGate(places: number): Gate {
  let free = places
  const waiting = new Set<() => void>()

  function leave(): void {
    // Handed over, so that no other can slip in between.
    const [next] = waiting
    if (next === undefined) free += 1
    else next()
  }

  function take(): Leave | null {
    if (free < 1) return null
    free -= 1
    return leave
  }

  function enter(signal?: AbortSignal): Promise<Leave | null> {
    if (signal?.aborted === true) return Promise.resolve(null)
    const taken = take()
    if (taken !== null) return Promise.resolve(taken)
    return new Promise((resolve) => {
      const admit = () => end(leave)
      const giveUp = () => end(null)
      function end(came: Leave | null): void {
        waiting.delete(admit)
        signal?.removeEventListener('abort', giveUp)
        resolve(came)
      }
      waiting.add(admit)
      signal?.addEventListener('abort', giveUp, { once: true })
    })
  }

  return {
    take,
    enter,
    async within(work) {
      if (take() === null) await enter()
      try {
        return await work()
      } finally {
        leave()
      }
    },
  }
}
