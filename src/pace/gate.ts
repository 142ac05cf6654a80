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

export interface ResizableGate extends Gate {
  /** From now on so many. Where there are fewer than before, nobody has to leave: the next goes in when enough have left. */
  resize(places: number): void
}

export function makeGate(places: number): ResizableGate {
  // Below 0: there are fewer places than are taken.
  let free = places
  const waiting = new Set<() => void>()

  function leave(): void {
    free += 1
    admit()
  }

  /** In the same step in which a place became free, so that no other can slip in between. */
  function admit(): void {
    for (const next of waiting) {
      if (free < 1) return
      free -= 1
      next()
    }
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
      const goIn = () => end(leave)
      const giveUp = () => end(null)
      function end(came: Leave | null): void {
        waiting.delete(goIn)
        signal?.removeEventListener('abort', giveUp)
        resolve(came)
      }
      waiting.add(goIn)
      signal?.addEventListener('abort', giveUp, { once: true })
    })
  }

  return {
    take,
    enter,
    resize(next) {
      free += next - places
      places = next
      admit()
    },
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
