/**
 * Where the embedded database listens: on a Unix socket in a folder that no other user can enter.
 *
 *     DATA_DIR/postgres/s               if that path is short enough for a socket
 *     XDG_RUNTIME_DIR/limpet-RANDOM     otherwise, or below the folder for temporary files
 *
 * Promise: from before the first connection on, the folder is not a link, belongs to the user that PostgreSQL runs as,
 * and is closed to everybody else. A folder that somebody else has made is never used. `DATA_DIR/postgres/socket`
 * names a folder outside, so that a restart finds it again and leaves no others behind.
 */
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { isPrivateFolder } from '../config/folder.ts'
import { type Cluster, writeSocketFolder } from './cluster.ts'
import { EmbeddedError } from './program.ts'
import type { RunAs } from './user.ts'

/** Part of the socket's name. As each folder has one server, it need not differ. */
export const PORT = 5432
/** unix(7): `sun_path` has 108 bytes, 104 on the BSDs, and a zero at the end. */
const LONGEST = (process.platform === 'linux' ? 108 : 104) - 1

/** The socket of the server that listens in `folder`. */
export const socketIn = (folder: string): string => join(folder, `.s.PGSQL.${PORT}`)

const fits = (folder: string): boolean => Buffer.byteLength(socketIn(folder)) <= LONGEST

/**
 * The folders to try, in this order; each is made when it is asked for.
 * @param wanted the one that connections lead to already: then no other will do
 */
export function* socketFolders(cluster: Cluster, runAs: RunAs, wanted?: string): Generator<string> {
  if (wanted !== undefined) {
    yield made(wanted, runAs)
    return
  }
  const inside = join(cluster.room, 's')
  if (fits(inside)) yield made(inside, runAs)
  const known = remembered(cluster)
  if (known !== null && fits(known) && isPrivateFolder(known, runAs.uid)) yield known
  for (const base of outside(runAs)) {
    const folder = mkdtempSync(join(base, 'limpet-'))
    runAs.own(folder)
    writeSocketFolder(cluster, folder)
    yield demandPrivate(folder, runAs)
  }
}

/** Throws where somebody else has made it. */
function made(folder: string, runAs: RunAs): string {
  try {
    mkdirSync(folder, { mode: 0o700 })
    runAs.own(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  return demandPrivate(folder, runAs)
}

function demandPrivate(folder: string, { uid }: { uid: number }): string {
  if (isPrivateFolder(folder, uid)) return folder
  throw new EmbeddedError(
    'EMBEDDED_FAILED',
    `${folder}, where the embedded PostgreSQL listens, must belong to user id ${uid} and have mode 0700: remove it and start again`,
  )
}

/** Throws unless `folder` is one into which nobody but `uid` can get: before anything is sent to who listens there. */
export function demandPrivateSocket(folder: string, uid: number): void {
  demandPrivate(folder, { uid })
}

function remembered({ socketFile }: Cluster): string | null {
  try {
    return readFileSync(socketFile, 'utf8')
  } catch {
    return null
  }
}

/** Takes the folder away that a server has listened in if we made it outside `data_dir`: an operator's server may have one of his own. */
export function leaveSocketFolder(cluster: Cluster, folder: string): void {
  if (dirname(folder) === cluster.room || remembered(cluster) !== folder) return
  rmSync(folder, { recursive: true, force: true })
  rmSync(cluster.socketFile, { force: true })
}

function* outside(runAs: RunAs): Generator<string> {
  // Another account can't get into what is root's own.
  const runtime = runAs.another ? undefined : process.env['XDG_RUNTIME_DIR']
  for (const base of [runtime, tmpdir(), '/tmp']) {
    if (base === undefined || base === '' || !fits(join(base, 'limpet-123456')) || !isSafe(base)) continue
    yield realpathSync(base)
  }
}

/** Whether nobody else can exchange a folder that we make in there: neither it nor what is above it is open, or it is sticky. */
function isSafe(base: string): boolean {
  try {
    for (let path = realpathSync(base); ; path = dirname(path)) {
      const { uid, mode } = statSync(path)
      const exchangeable = (mode & 0o022) !== 0 && (mode & 0o1000) === 0
      if (exchangeable || (uid !== 0 && uid !== process.geteuid?.())) return false
      if (dirname(path) === path) return true
    }
  } catch {
    return false
  }
}
