/**
 * The directory of the embedded database: created once, completely or not at all, and only ever used by the major
 * version that created it.
 *
 *     DATA_DIR/postgres/data         what PostgreSQL calls its data directory
 *                       s            the folder of its socket (or `socket`: where that is; `embedded-socket.ts`)
 *                       password     of the role `limpet`, new at each start, mode 0600
 *                       pg_hba.conf  who may log in: `limpet`, into its own database, on the socket, with its password
 *                       server.log   PostgreSQL's own log (server.log.1: the same, older)
 */
import { randomBytes } from 'node:crypto'
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fchownSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { join, resolve } from 'node:path'
import { ConfigError } from '../config/error.ts'
import { closeDataDir } from '../config/folder.ts'
import type { Program } from './program.ts'
import { binary, EmbeddedError } from './program.ts'
import type { RunAs } from './user.ts'

export interface Cluster {
  room: string
  data: string
  passwordFile: string
  socketFile: string
  hbaFile: string
  logFile: string
}

/**
 * Names the files and makes the directory around them. Touches no database.
 * @throws ConfigError where `dataDir` is not ours
 */
export function openRoom(dataDir: string, warn: (what: string) => void = () => undefined): Cluster {
  const closed = closeDataDir(dataDir)
  if (closed !== null) warn(closed)
  const given = join(resolve(dataDir), 'postgres')
  mkdirSync(given, { recursive: true, mode: 0o700 })
  refuseUnusable(realpathSync(given))
  return nameRoom(dataDir)
}

/** Names the files, and changes nothing. Throws where there is no such directory. */
export function nameRoom(dataDir: string): Cluster {
  // One name for one directory, whatever links lead to it: it is compared with what a server says.
  const room = realpathSync(join(resolve(dataDir), 'postgres'))
  return {
    room,
    data: join(room, 'data'),
    passwordFile: join(room, 'password'),
    socketFile: join(room, 'socket'),
    hbaFile: join(room, 'pg_hba.conf'),
    logFile: join(room, 'server.log'),
  }
}

/** Takes the directory away again where nothing is in it: one that root has made in vain would keep others out. */
export function leaveRoom({ room }: Cluster): void {
  try {
    rmdirSync(room)
  } catch {
    // There is something in it.
  }
}

/** Made by root in somebody else's `data_dir`, say. */
function refuseUnusable(room: string): void {
  try {
    accessSync(room, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (cause) {
    throw new ConfigError(
      'data_dir',
      `${room} belongs to user id ${statSync(room).uid}, so limpet can't use it; run: chown -R ${process.geteuid?.()} ${room}`,
      { cause },
    )
  }
}

/** Whether a limpet up to 0.1 was the last that started it: the next start changes it. */
export function isOfLimpet01({ data, hbaFile }: Cluster): boolean {
  return existsSync(data) && !existsSync(hbaFile)
}

/** @throws EmbeddedError `EMBEDDED_VERSION` when another major version made the data directory. */
export function refuseOtherVersion({ data }: Cluster, program: Program): void {
  if (!existsSync(data)) return
  const found = readFileSync(join(data, 'PG_VERSION'), 'utf8').trim()
  if (found === String(program.major)) return
  throw new EmbeddedError(
    'EMBEDDED_VERSION',
    `the database in ${data} was made by PostgreSQL ${found}, but this limpet comes with PostgreSQL ${program.major}: ` +
      `run the limpet release that made it, or start a PostgreSQL ${found} of your own on that directory ` +
      'and set `database` to its postgres:// URL',
  )
}

// Ours come last in postgresql.conf, where an operator finds and may change them. Where it listens and who may log in
// is given on the command line instead.
const SETTINGS = `
# limpet: a small server for one process on this machine.
max_connections = 100
shared_buffers = 128MB
jit = off                         # many short statements
timezone = 'UTC'
log_timezone = 'UTC'
log_checkpoints = off
log_line_prefix = '%m [%p] '
`

/**
 * Makes the data directory unless there is one. It is made under another name and renamed when it is
 * whole, so that one cut short is only rubbish to be swept away by the next try.
 */
export async function makeCluster(
  cluster: Cluster,
  { runAs, durable }: { runAs: RunAs; durable: boolean },
): Promise<void> {
  if (existsSync(cluster.data)) return
  const partial = `${cluster.data}.partial`
  rmSync(partial, { recursive: true, force: true })
  await initdb(cluster, { runAs, partial, durable })
  appendDurably(join(partial, 'postgresql.conf'), SETTINGS)
  renameSync(partial, cluster.data)
  syncDirectory(cluster.room)
}

async function initdb(
  cluster: Cluster,
  { runAs, partial, durable }: { runAs: RunAs; partial: string; durable: boolean },
): Promise<void> {
  // Nobody can log in yet: the superuser has no password, and a role for limpet is made before the first start.
  const args = ['-D', partial, '--encoding=UTF8', '--locale=C', '--auth=reject', '--username=limpet_admin']
  args.push(...(durable ? [] : ['--no-sync']))
  const child = runAs.launch(binary(runAs.program, 'initdb'), args, {
    cwd: cluster.room,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()))
  child.stderr?.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const end = await new Promise<number | string>((done) => {
    child.on('error', (error) => done(error.message))
    child.on('close', (code, signal) => done(code ?? signal ?? 'unknown'))
  })
  if (end === 0) return
  rmSync(partial, { recursive: true, force: true })
  const why = output.split('\n').filter((line) => /error|fatal|could not|cannot/i.test(line))
  throw new EmbeddedError(
    'EMBEDDED_FAILED',
    `the embedded PostgreSQL could not make its data directory in ${cluster.room} (initdb: ${end}): ` +
      (why.slice(-3).join(' ').trim() || output.trim().split('\n').at(-1) || 'it printed nothing'),
  )
}

function appendDurably(path: string, text: string): void {
  const file = openSync(path, 'a', 0o600)
  try {
    writeSync(file, text)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

/** Replaces a file of ours as a whole. A link in its place is replaced, not followed: others may be able to write into the folder. */
function replace({ room }: Cluster, path: string, text: string): void {
  const aside = `${path}.${randomBytes(6).toString('hex')}`
  const file = openSync(aside, 'wx', 0o600)
  try {
    giveToOwner(file, room)
    writeSync(file, text)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(aside, path)
}

/**
 * What root makes there, in a command beside a user's daemon or as that account's limpet, belongs to whom the room belongs: otherwise
 * that user's next start could not go on with it. Open, so that nobody can put another file in its place meanwhile.
 */
function giveToOwner(file: number, room: string): void {
  if (process.geteuid?.() !== 0) return
  const { uid, gid } = statSync(room)
  fchownSync(file, uid, gid)
}

// Without this a power cut could take the new name away again (or the password, and lock us out).
function syncDirectory(path: string): void {
  const directory = openSync(path, 'r')
  try {
    fsyncSync(directory)
  } finally {
    closeSync(directory)
  }
}

const HBA = `# Made by limpet at each start: a change is lost. TYPE DATABASE USER METHOD
local limpet limpet scram-sha-256
`

/** Lets `limpet` in and nobody else. */
export function writeHba(cluster: Cluster): void {
  replace(cluster, cluster.hbaFile, HBA)
}

/** For commands beside a daemon, and for a process that finds the server running. */
export function writePassword(cluster: Cluster, password: string): void {
  replace(cluster, cluster.passwordFile, password)
}

/** For the next start, which finds its socket there again. */
export function writeSocketFolder(cluster: Cluster, folder: string): void {
  replace(cluster, cluster.socketFile, folder)
}

/** Null: there is none. */
export function readPassword({ passwordFile }: Cluster): string | null {
  try {
    return readFileSync(passwordFile, 'utf8').trim()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

/** Where `limpet` finds its database; `host` is an address, or the folder of a socket. No server is believed that does not prove itself. */
export function clusterUrl(host: string, port: number, password: string): string {
  const query = 'sslmode=disable&require_auth=scram-sha-256'
  return `postgres://limpet:${encodeURIComponent(password)}@${encodeURIComponent(host)}:${port}/limpet?${query}`
}

const LOG_BYTES = 10 * 1024 * 1024

/** Opened to append; made where there is none. */
export function openLog({ logFile, room }: Cluster): number {
  const { O_APPEND, O_CREAT, O_EXCL, O_WRONLY, O_NOFOLLOW } = constants
  const flags = O_APPEND | O_CREAT | O_WRONLY | O_NOFOLLOW
  if (existsSync(logFile)) return openSync(logFile, flags, 0o600)
  const file = openSync(logFile, flags | O_EXCL, 0o600)
  giveToOwner(file, room)
  return file
}

/** Puts a log that has grown long aside; PostgreSQL itself only ever appends. */
export function rotateLog({ logFile }: Cluster): void {
  if (existsSync(logFile) && statSync(logFile).size > LOG_BYTES) renameSync(logFile, `${logFile}.1`)
}
