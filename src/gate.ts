/** At most so many at once; the rest wait in the order in which they came. */
export interface Gate {
  within<T>(work: () => Promise<T>): Promise<T>
}

export function makeGate(places: number): Gate {
  let free = places
  const waiting: (() => void)[] = []
  return {
    async within(work) {
      if (free > 0) free -= 1
      // A caller that leaves hands its place over, so no other can slip in between.
      else await new Promise<void>((enter) => waiting.push(enter))
      try {
        return await work()
      } finally {
        const next = waiting.shift()
        if (next === undefined) free += 1
        else next()
      }
    },
  }
}
