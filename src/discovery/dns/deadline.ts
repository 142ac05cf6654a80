/**
 * Calls `back` after `ms`, and what had arrived by then was read before that.
 *
 * A timer comes before the reading in a turn of the event loop. So if this process was busy for longer than the timer, an answer that came
 * in time would be taken for a late one. Call the result to have it forgotten; that costs less than a signal, and there are many.
 */
import { timerMs } from '../../pace/clock.ts'

export function deadline(ms: number, back: () => void): () => void {
  let after: NodeJS.Immediate | undefined
  const timer = setTimeout(() => (after = setImmediate(back)), timerMs(ms))
  return () => {
    clearTimeout(timer)
    clearImmediate(after)
  }
}
