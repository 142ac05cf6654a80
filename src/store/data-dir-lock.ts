/**
 * One `run` at a time on a `data_dir`.
 *
 * Promise: while a process that took the lock lives, nobody else gets it; whatever way that process
 * ends, the next one does. The file says who (`pid`) and since when (`identity`), so a number that the
 * system has given to another program does not keep us out.
 *
 * Two machines that share a `data_dir` over a network file system are not told apart: the embedded
 * database is for one machine.
 */
import { randomBytes } from 'node:crypto'
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { processIdentity } from './process-identity.ts'

export class DataDirInUseError extends Error {
  readonly code = 'DATA_DIR_IN_USE'
  readonly pid: number
  constructor(dir: string, pid: number) {
    super(
      `data_dir ${dir} is in use by the limpet with process id ${pid}: stop it first, or give this one another data_dir`,
    )
    this.name = 'DataDirInUseError'
    this.pid = pid
  }
}

interface Holder {
  pid: number
  identity: string | null
}

/**
 * Takes the lock of `dir` (made if missing) for this process and returns what lets go of it again.
 * @throws DataDirInUseError while a living process holds it, this one included.
 */
export function lockDataDir(dir: string): () => void {
  const absolute = resolve(dir)
  mkdirSync(absolute, { recursive: true, mode: 0o700 })
  const path = join(absolute, 'limpet.lock')
  const mine = JSON.stringify({ pid: process.pid, identity: processIdentity(process.pid) } satisfies Holder)
  // Written aside and linked into place: the lock never exists without saying who holds it.
  const aside = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`
  writeFileSync(aside, mine, { mode: 0o600, flag: 'wx' })
  try {
    for (;;) {
      if (tryLink(aside, path)) return () => release(path, mine)
      const holder = read(path)
      if (holder && isHeld(holder)) throw new DataDirInUseError(absolute, holder.pid)
      takeAway(path, `${aside}.stale`, absolute)
    }
  } finally {
    rmSync(aside, { force: true })
  }
}

function isHeld(holder: Holder): boolean {
  const identity = processIdentity(holder.pid)
  return identity !== null && (holder.identity === null || holder.identity === identity)
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
    const value = JSON.parse(readFileSync(path, 'utf8')) as Partial<Holder> | null
    if (!Number.isInteger(value?.pid)) return null
    return { pid: Number(value?.pid), identity: value?.identity ?? null }
  } catch {
    return null
  }
}

/** Moves a lock that nobody holds out of the way; if another was quicker and holds it now, puts it back. */
function takeAway(path: string, stale: string, dir: string): void {
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
