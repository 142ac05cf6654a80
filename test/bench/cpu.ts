/** How much processor time do processes use? From /proc, so on Linux only; elsewhere null. */
import { readdirSync, readFileSync } from 'node:fs'

/** Linux counts in hundredths of a second on every platform that Node runs on. */
const MS_A_TICK = 10

/** Processor time so far of a process and of those it has started, ms. */
export function cpuMs(pid: number): number | null {
  try {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map((name) => timesOf(name))
      .filter((times) => times !== null)
      .filter((times) => times.pid === pid || times.parent === pid)
      .reduce((sum, times) => sum + times.ms + (times.pid === pid ? times.childrenMs : 0), 0)
  } catch {
    return null
  }
}

function timesOf(name: string) {
  try {
    const text = readFileSync(`/proc/${name}/stat`, 'utf8')
    // The second field is a name in brackets, with whatever its owner liked in it.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    const ticks = (...at: number[]) => at.reduce((sum, i) => sum + Number(fields[i]), 0) * MS_A_TICK
    return { pid: Number(name), parent: Number(fields[1]), ms: ticks(11, 12), childrenMs: ticks(13, 14) }
  } catch {
    return null
  }
}
