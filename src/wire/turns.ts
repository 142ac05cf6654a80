/**
 * How much of what others send is worked on in one turn of the event loop.
 *
 * Renewing the lease, timers and everybody else's answers wait while one is read. So all connections together are given
 * so many bytes a turn; what is left over waits for the next one, first come, first served. Likewise a long answer is
 * made sense of alone in its turn.
 */

export interface Turns {
  /** How many of `bytes` may be worked on now; 0: none, wait for `next`. */
  take(bytes: number): number
  /** It turned out to be as much work as so many bytes more. */
  charge(bytes: number): void
  /** Calls `back` in a later turn. */
  next(back: () => void): void
}

export function makeTurns(bytesATurn: number): Turns {
  let left = bytesATurn
  let waiting: (() => void)[] = []
  let armed = false

  function arm(): void {
    if (armed) return
    armed = true
    setImmediate(begin)
  }

  function begin(): void {
    armed = false
    left = bytesATurn
    const them = waiting
    waiting = []
    for (const [index, back] of them.entries()) {
      if (left <= 0) {
        // These were first: those that asked meanwhile come after them.
        waiting = [...them.slice(index), ...waiting]
        break
      }
      back()
    }
    if (waiting.length > 0) arm()
  }

  return {
    take(bytes) {
      if (bytes <= 0) return 0
      const given = Math.max(0, Math.min(bytes, left))
      left -= given
      if (given > 0) arm()
      return given
    },
    charge(bytes) {
      left -= bytes
    },
    next(back) {
      waiting.push(back)
      arm()
    },
  }
}
