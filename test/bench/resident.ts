/** How much memory does a process hold? From /proc, so on Linux only; elsewhere null. */
import { readFileSync, writeFileSync } from 'node:fs'

export interface Resident {
  /** MB (10^6 bytes). */
  now: number
  /** The most there was since `forgetPeak`. */
  peak: number
}

export function resident(pid: number): Resident | null {
  try {
    const text = readFileSync(`/proc/${pid}/status`, 'utf8')
    const field = (name: string) =>
      (Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]) * 1024) / 1e6
    return { now: field('VmRSS'), peak: field('VmHWM') }
  } catch {
    return null
  }
}

/** Lets `peak` begin anew; where that is not allowed, it is the most since the process began. */
export function forgetPeak(pid: number): void {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, '5')
  } catch {
    // The figure is then an upper bound.
  }
}
