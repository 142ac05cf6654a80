/**
 * Collects the calls that come while one is under way, and makes them as one.
 *
 * A commit costs the same for one row as for fifty. So requests that arrive during a commit wait for it and then go
 * together. Order is kept: calls are taken in the order in which they came, one batch at a time.
 */
export interface Batcher<T, R> {
  /** Resolves or rejects with what `run` gave for this call. */
  add(call: T): Promise<R>
  /** Calls waiting for the next batch, weighed. */
  waiting(): number
  /** Resolves when nothing is waiting or under way. */
  idle(): Promise<void>
}

interface WaitingCall<T, R> {
  call: T
  resolve: (result: R) => void
  reject: (error: unknown) => void
}

export interface BatcherNeeds<T, R> {
  /** Gets at most `maxWeight` worth of calls and answers in their order; an Error in the list rejects that call alone. */
  run: (calls: T[]) => Promise<(R | Error)[]>
  maxWeight: number
  weigh?: (call: T) => number
}

export function makeBatcher<T, R>({ run, maxWeight, weigh = () => 1 }: BatcherNeeds<T, R>): Batcher<T, R> {
  let queue: WaitingCall<T, R>[] = []
  let weight = 0
  let running: Promise<void> | null = null

  function take(): WaitingCall<T, R>[] {
    let taken = 0
    let count = 0
    for (const { call } of queue) {
      const next = weigh(call)
      if (count > 0 && taken + next > maxWeight) break
      taken += next
      count += 1
    }
    const batch = queue.slice(0, count)
    queue = queue.slice(count)
    weight -= taken
    return batch
  }

  async function work(): Promise<void> {
    // The first call of a quiet moment starts at once; those of the same tick still join it.
    await Promise.resolve()
    while (queue.length > 0) {
      const batch = take()
      try {
        const results = await run(batch.map(({ call }) => call))
        for (const [index, { resolve, reject }] of batch.entries()) {
          const result = results[index]
          if (result instanceof Error || result === undefined)
            reject(result ?? new Error('a batch answered too little'))
          else resolve(result)
        }
      } catch (error) {
        for (const { reject } of batch) reject(error)
      }
    }
    running = null
  }

  return {
    add: (call) =>
      new Promise<R>((resolve, reject) => {
        queue.push({ call, resolve, reject })
        weight += weigh(call)
        running ??= work()
      }),
    waiting: () => weight,
    idle: async () => {
      while (running !== null) await running
    },
  }
}
