/**
 * Is the process that left its id in a file still there, or has another process got that id?
 *
 * A process id alone can't tell: after a crash, and certainly after a restart of a container or the machine, the same
 * small number belongs to another process.
 *
 * /proc may show only a part: only our own user's processes (`hidepid`, systemd's ProtectProc=), or nothing but
 * processes (systemd's ProcSubset=pid), which hides the id of the boot.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, readlinkSync } from 'node:fs'

/** How processes are looked at. */
export interface System {
  readonly proc: string
  /** Throws as `process.kill` does. */
  readonly kill: (pid: number, signal: 0) => unknown
}

const SYSTEM: System = { proc: '/proc', kill: (pid, signal) => process.kill(pid, signal) }

/** True while `pid` is any living process, also one that we may not signal. */
export function isAlive(pid: number, system = SYSTEM): boolean {
  return liveness(pid, system) !== 'gone'
}

/** `foreign` is another user's, which we may not signal. */
export function liveness(pid: number, system = SYSTEM): 'alive' | 'foreign' | 'gone' {
  try {
    system.kill(pid, 0)
    // A zombie answers to signals, but runs no more.
    return /^State:\s+Z/m.test(procFile(pid, 'status', system.proc) ?? '') ? 'gone' : 'alive'
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM' ? 'foreign' : 'gone'
  }
}

/** What tells a process from all others that ever have its number: compare with `mayBeSame`. */
export interface ProcessIdentity {
  /** The boot it belongs to; null where that can't be read. */
  readonly boot: string | null
  /** When it started in that boot. */
  readonly started: string
}

/** Null when there is no such process, or it is hidden from us; `isAlive` knows which. */
export function processIdentity(pid: number, system = SYSTEM): ProcessIdentity | null {
  if (!isAlive(pid, system)) return null
  const stat = procFile(pid, 'stat', system.proc)
  if (stat === null) {
    const started = ps(pid, 'lstart=', system.proc)
    return started === null ? null : { boot: '', started }
  }
  // proc(5): the name (field 2) may hold blanks and brackets, so count from its end; field 22 is the
  // start time in ticks since the boot, which has an id of its own.
  const started = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
  return { boot: readOrNull(`${system.proc}/sys/kernel/random/boot_id`)?.trim() ?? null, started }
}

/**
 * False only if they are certainly two processes. Where one of them does not know its boot the start alone decides: that can
 * take a stranger that started in another boot in the same hundredth of a second for the process, never the other way round.
 */
export function mayBeSame(a: ProcessIdentity, b: ProcessIdentity): boolean {
  return a.started === b.started && (a.boot === b.boot || a.boot === null || b.boot === null)
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

function procFile(pid: number, name: string, proc = SYSTEM.proc): string | null {
  return readOrNull(`${proc}/${pid}/${name}`)
}

function readOrNull(path: string): string | null {
  try {
    return existsSync(path) ? readFileSync(path, 'utf8') : null
  } catch {
    return null
  }
}

/** For systems without /proc; where there is one, `ps` sees no more than we do. */
function ps(pid: number, format: string, proc = SYSTEM.proc): string | null {
  if (existsSync(`${proc}/self`)) return null
  try {
    return execFileSync('ps', ['-o', format, '-p', String(pid)], { encoding: 'utf8' }).trim() || null
  } catch {
    return null
  }
}
