/**
 * How much memory does this process hold that it can't give back?
 *
 * The resident size says little of it: most of what an answer leaves behind is garbage that nothing has asked to be
 * collected, and how much of that there is depends on the moment.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

export interface LiveMemoryWatch {
  /** The most so far beyond what was held at the start, bytes. */
  most(): number
  stop(): void
}

/** Collects garbage at every look: processor time, so the looks are not many. */
export function watchLiveMemory(everyMs: number): LiveMemoryWatch {
  const held = () => {
    collect()
    const { heapUsed, external } = process.memoryUsage()
    return heapUsed + external
  }
  const before = held()
  let most = 0
  const look = () => {
    most = Math.max(most, held() - before)
  }
  const timer = setInterval(look, everyMs)
  return {
    most() {
      look()
      return most
    },
    stop: () => clearInterval(timer),
  }
}
