/**
 * Is the process that left its number in a file still there, or has the number gone to another one?
 *
 * A process id alone can't tell: after a crash, and certainly after a restart of a container or the
 * machine, the same small number belongs to somebody else.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, readlinkSync } from 'node:fs'

/** True while `pid` is any living process, also one that we may not signal. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    // A zombie answers to signals, but runs no more.
    return !/^State:\s+Z/m.test(procFile(pid, 'status') ?? '')
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/**
 * A text that is the same for as long as this very process lives and never comes again with the same
 * `pid`; null when there is no such process.
 */
export function processIdentity(pid: number): string | null {
  if (!isAlive(pid)) return null
  const stat = procFile(pid, 'stat')
  if (stat === null) return ps(pid, 'lstart=')
  // proc(5): the name (field 2) may hold blanks and brackets, so count from its end; field 22 is the
  // start time in ticks since the boot, which has an id of its own.
  const started = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${started ?? ''}`
}

/** The command line of `pid`, its words separated by blanks; null when there is no such process. */
export function commandLine(pid: number): string | null {
  if (!isAlive(pid)) return null
  return procFile(pid, 'cmdline')?.replaceAll('\0', ' ').trim() ?? ps(pid, 'command=')
}

/** The user as whom `pid` runs; null when there is no such process, or it can't be told. */
export function processOwner(pid: number): number | null {
  // proc(5): real, effective, saved, file system. The owner of /proc/PID is root's for who has changed its user.
  const status = procFile(pid, 'status')
  const text = status === null ? ps(pid, 'uid=') : /^Uid:\s+\d+\s+(\d+)/m.exec(status)?.[1]
  return text !== null && text !== undefined && /^\d+$/.test(text.trim()) ? Number(text) : null
}

/** Null where it can't be told (no such process, not ours, no /proc). */
export function workingDirectory(pid: number): string | null {
  try {
    return readlinkSync(`/proc/${pid}/cwd`)
  } catch {
    return null
  }
}

function procFile(pid: number, name: string): string | null {
  const path = `/proc/${pid}/${name}`
  try {
    return existsSync(path) ? readFileSync(path, 'utf8') : null
  } catch {
    return null
  }
}

/** For systems without /proc. */
function ps(pid: number, format: string): string | null {
  try {
    return execFileSync('ps', ['-o', format, '-p', String(pid)], { encoding: 'utf8' }).trim() || null
  } catch {
    return null
  }
}
