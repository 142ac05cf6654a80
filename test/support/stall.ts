/**
 * For how long does this thread keep its timers waiting by its own work?
 *
 * In processor time, where the system tells it of a thread (Linux): what other processes take on a busy machine does not
 * count. Elsewhere by the clock.
 */
import { readFileSync } from 'node:fs'

export interface StallWatch {
  /** The longest so far, ms. */
  longestMs(): number
  stop(): void
}

const EVERY_MS = 5

/** Processor time of the main thread so far, ms; null: the system doesn't tell. */
function threadMs(): number | null {
  try {
    const text = readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8')
    return Number(text.slice(0, text.indexOf(' '))) / 1e6
  } catch {
    return null
  }
}

export function watchForStalls(): StallWatch {
  const read = () => threadMs() ?? performance.now()
  let last = read()
  let longest = 0
  const look = () => {
    const now = read()
    longest = Math.max(longest, now - last)
    last = now
  }
  const timer = setInterval(look, EVERY_MS)
  return {
    longestMs() {
      look()
      return longest
    },
    stop: () => clearInterval(timer),
  }
}
