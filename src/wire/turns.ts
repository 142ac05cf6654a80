/**
 * How much of what others send is processed in one turn of the event loop?
 *
 * While an answer is read, lease renewal, timers and all other answers wait. So all connections together get a fixed
 * number of bytes in each turn; the rest waits for the next turn, first come, first served. Likewise a long answer has
 * a turn to itself when it is interpreted.
 */

export interface Turns {
  /** How many of `bytes` may be worked on now; 0: none, wait for `next`. */
  take(bytes: number): number
  /** It turned out to be as much work as `bytes` more. */
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
        // These were first: those that ask meanwhile come after them.
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
