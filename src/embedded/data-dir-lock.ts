/**
 * Allows one `run` at a time on a `data_dir`.
 *
 * Promise: while a process that took the lock lives, no other process gets it; however that process ends, the next one
 * does. The file says who (`pid`) and since when (`identity`), so a process id that the system has given to another
 * program does not keep us out.
 *
 * Two machines that share a `data_dir` over a network file system are not told apart: the embedded database is for one
 * machine.
 *
 * In doubt the lock counts as held: a refused start can be put right by hand, two processes on one database can't.
 */
import { randomBytes } from 'node:crypto'
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { statSync, unlinkSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { liveness, mayBeSame, processIdentity } from './process-identity.ts'
import type { ProcessIdentity, System } from './process-identity.ts'

export class DataDirInUseError extends Error {
  readonly code = 'DATA_DIR_IN_USE'
  readonly pid: number
  constructor(dir: string, pid: number) {
    super(
      `data_dir ${dir} is in use by another limpet (process ${pid}): stop that one first, or give this one another data_dir. For several processes set database to a PostgreSQL of your own`,
    )
    this.name = 'DataDirInUseError'
    this.pid = pid
  }
}

/** What the file says. */
interface Written {
  pid: number
  /** `BOOT STARTED`, as releases from before `started` know it; null where the boot can't be told: any living process is it. */
  identity: string | null
  /** Beside an `identity` of null. */
  started?: string
}

interface Holder {
  pid: number
  /** Null: the file does not say. */
  identity: ProcessIdentity | null
  /** Of the file, and so of the process that wrote it. */
  uid: number
}

/**
 * Takes the lock of `dir` (made if missing) for this process and returns what lets go of it again.
 * @throws DataDirInUseError while a living process holds it, this one included.
 */
export function lockDataDir(dir: string, system?: System): () => void {
  const isHeld = (holder: Holder) => holds(holder, system)
  const absolute = resolve(dir)
  mkdirSync(absolute, { recursive: true, mode: 0o700 })
  const path = join(absolute, 'limpet.lock')
  const mine = JSON.stringify(written(process.pid, processIdentity(process.pid, system)))
  // Written aside and linked into place: the lock never exists without saying who holds it.
  const aside = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`
  writeFileSync(aside, mine, { mode: 0o600, flag: 'wx' })
  try {
    for (;;) {
      if (tryLink(aside, path)) return () => release(path, mine)
      const holder = read(path)
      if (holder && isHeld(holder)) throw new DataDirInUseError(absolute, holder.pid)
      takeAway(path, `${aside}.stale`, { dir: absolute, isHeld })
    }
  } finally {
    rmSync(aside, { force: true })
  }
}

function holds({ pid, identity, uid }: Holder, system: System | undefined): boolean {
  const now = processIdentity(pid, system)
  if (now !== null) return identity === null || mayBeSame(identity, now)
  const is = liveness(pid, system)
  // Hidden from us. Another user's process is not the one that wrote the file if our own user did.
  return is === 'alive' || (is === 'foreign' && uid !== process.geteuid?.())
}

function written(pid: number, identity: ProcessIdentity | null): Written {
  if (identity === null) return { pid, identity: null }
  const { boot, started } = identity
  return boot === null ? { pid, identity: null, started } : { pid, identity: `${boot} ${started}`.trim() }
}

function tryLink(from: string, to: string): boolean {
  try {
    linkSync(from, to)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

/** Null when it has gone, or was never written by us. */
function read(path: string): Holder | null {
  try {
    const { pid, identity, started } = JSON.parse(readFileSync(path, 'utf8')) as Partial<Written>
    if (pid === undefined || !Number.isInteger(pid)) return null
    return { pid, identity: parse(identity ?? null, started), uid: statSync(path).uid }
  } catch {
    return null
  }
}

function parse(identity: string | null, started: string | undefined): ProcessIdentity | null {
  if (identity === null) return started === undefined ? null : { boot: null, started }
  // Where there is no /proc it is a date, which tells boots apart by itself.
  const [, boot = '', ticks = identity] = /^([0-9a-f-]{36}) (\d+)$/.exec(identity) ?? []
  return { boot, started: ticks }
}

/** Moves a lock that nobody holds out of the way; if another was quicker and holds it now, puts it back. */
function takeAway(
  path: string,
  stale: string,
  { dir, isHeld }: { dir: string; isHeld: (holder: Holder) => boolean },
): void {
  try {
    renameSync(path, stale)
  } catch {
    return
  }
  const holder = read(stale)
  if (holder && isHeld(holder)) {
    tryLink(stale, path)
    unlinkSync(stale)
    throw new DataDirInUseError(dir, holder.pid)
  }
  unlinkSync(stale)
}

function release(path: string, mine: string): void {
  try {
    if (readFileSync(path, 'utf8') === mine) unlinkSync(path)
  } catch {
    // Somebody removed it by hand: then there is nothing to let go of.
  }
}
