/** How much processor time do processes use? From /proc, so on Linux only; elsewhere null. */
import { readdirSync, readFileSync } from 'node:fs'

/** Linux counts in hundredths of a second on every platform that Node runs on. */
const MS_A_TICK = 10

export interface Times {
  pid: number
  parent: number
  /** Its own, ms. */
  ms: number
  /** That of its children that have ended, and of theirs, ms. */
  childrenMs: number
}

/** Processor time so far of a process, of those it has started and of those they have started, ms. */
export function cpuMs(pid: number): number | null {
  try {
    const all = readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map((name) => timesOf(name))
      .filter((times) => times !== null)
    return all.some((times) => times.pid === pid) ? sumOfTree(all, pid) : 0
  } catch {
    return null
  }
}

/** Sums a process and everything below it. */
export function sumOfTree(all: readonly Times[], pid: number): number {
  const own = all.find((times) => times.pid === pid)
  const children = all.filter(({ parent }) => parent === pid)
  return children.reduce(
    (sum, child) => sum + sumOfTree(all, child.pid),
    own === undefined ? 0 : own.ms + own.childrenMs,
  )
}

function timesOf(name: string): Times | null {
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
