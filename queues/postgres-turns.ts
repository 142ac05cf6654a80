/**
 * Which statement goes next? The queue's statements wait here, and not in the pool, for one of its few connections.
 *
 * The pool counts such a wait as a connection that can't be made, and gives up after two seconds. Hundreds of jobs that end at
 * once wait longer; BullMQ then takes each of them for failed, and what it finds later for stalled. Here no statement is given up:
 * a caller that can't wait has a deadline of its own. Renewals go first, else locks run out behind what waits for them; of the rest every
 * other turn is a job's end, so that thousands of these do not delay a wake.
 */
export type Rank = 'renew' | 'end' | 'other'

export interface StatementTurns {
  within<T>(rank: Rank, work: () => Promise<T>): Promise<T>
}

export function makeStatementTurns(places: number): StatementTurns {
  let free = places
  const waiting: Record<Rank, Set<() => void>> = { renew: new Set(), end: new Set(), other: new Set() }
  let lastEnded = false

  function next(): (() => void) | undefined {
    const order: Rank[] = lastEnded ? ['renew', 'other', 'end'] : ['renew', 'end', 'other']
    const rank = order.find((one) => waiting[one].size > 0)
    if (rank === undefined) return undefined
    if (rank !== 'renew') lastEnded = rank === 'end'
    const [go] = waiting[rank]
    if (go !== undefined) waiting[rank].delete(go)
    return go
  }

  function leave(): void {
    const go = next()
    if (go === undefined) free += 1
    else go()
  }

  return {
    async within(rank, work) {
      if (free > 0) free -= 1
      else await new Promise<void>((go) => waiting[rank].add(go))
      try {
        return await work()
      } finally {
        leave()
      }
    },
  }
}

/** How urgent a command of BullMQ's is, by its name. */
export function rankOf(command: string): Rank {
  if (command.startsWith('extend_lock')) return 'renew'
  return command.startsWith('move_to_completed') || command.startsWith('move_to_failed') ? 'end' : 'other'
}
