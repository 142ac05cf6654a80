/**
 * The directory of the embedded database: made once, whole or not at all, and only ever used by the
 * major version that made it.
 *
 *     DATA_DIR/postgres/data        what PostgreSQL calls its data directory
 *                       password    of the role `limpet`, mode 0600
 *                       port        the one it listened on last, so that a restart keeps its address
 *                       server.log  what PostgreSQL has to say (server.log.1: the same, older)
 */
import { randomBytes } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { join, resolve } from 'node:path'
import type { Program } from './embedded-program.ts'
import { binary, EmbeddedError } from './embedded-program.ts'
import type { RunAs } from './embedded-user.ts'

export interface Cluster {
  room: string
  data: string
  passwordFile: string
  portFile: string
  logFile: string
}

/** Names the files and makes the directory around them. Touches no database. */
export function openRoom(dataDir: string): Cluster {
  const given = join(resolve(dataDir), 'postgres')
  mkdirSync(given, { recursive: true, mode: 0o700 })
  // One name for one directory, whatever links lead to it: it is compared with what a server says.
  const room = realpathSync(given)
  return {
    room,
    data: join(room, 'data'),
    passwordFile: join(room, 'password'),
    portFile: join(room, 'port'),
    logFile: join(room, 'server.log'),
  }
}

/** @throws EmbeddedError `EMBEDDED_VERSION` when another major version made the data directory. */
export function refuseOtherVersion({ data }: Cluster, program: Program): void {
  if (!existsSync(data)) return
  const found = readFileSync(join(data, 'PG_VERSION'), 'utf8').trim()
  if (found === String(program.major)) return
  throw new EmbeddedError(
    'EMBEDDED_VERSION',
    `the database in ${data} was made by PostgreSQL ${found}, this limpet brings ${program.major}: ` +
      `run the limpet release that made it, or start a PostgreSQL ${found} of your own on that directory ` +
      'and set `database` to its postgres:// URL',
  )
}

// Ours come last in postgresql.conf, where an operator finds and may change them. The address and port
// are given on the command line instead.
const SETTINGS = `
# limpet: a small server for one process on this machine.
unix_socket_directories = ''      # a path under data_dir may be longer than a socket's may be
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
  {
    runAs,
    settings,
    durable,
  }: { runAs: RunAs; settings: Readonly<Record<string, string>>; durable: boolean },
): Promise<void> {
  if (existsSync(cluster.data)) return
  const partial = `${cluster.data}.partial`
  rmSync(partial, { recursive: true, force: true })
  rmSync(cluster.passwordFile, { force: true })
  writeDurably(cluster.passwordFile, randomBytes(24).toString('hex'), 'wx')
  runAs.own(cluster.passwordFile)
  await initdb(cluster, { runAs, partial, durable })
  const extra = Object.entries(settings).map(([name, value]) => `${name} = '${value}'\n`)
  writeDurably(join(partial, 'postgresql.conf'), SETTINGS + extra.join(''), 'a')
  renameSync(partial, cluster.data)
  syncDirectory(cluster.room)
}

async function initdb(
  cluster: Cluster,
  { runAs, partial, durable }: { runAs: RunAs; partial: string; durable: boolean },
): Promise<void> {
  const args = ['-D', partial, '--encoding=UTF8', '--locale=C', '--auth=scram-sha-256', '--username=limpet']
  args.push(`--pwfile=${cluster.passwordFile}`, ...(durable ? [] : ['--no-sync']))
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
      (why.slice(-3).join(' ').trim() || output.trim().split('\n').at(-1) || 'it said nothing'),
  )
}

function writeDurably(path: string, text: string, flag: 'wx' | 'a' | 'w'): void {
  const file = openSync(path, flag, 0o600)
  try {
    writeSync(file, text)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
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

/** Where the role `limpet` finds `database` of this cluster. */
export function clusterUrl({ passwordFile, data }: Cluster, port: number, database: string): string {
  let password: string
  try {
    password = readFileSync(passwordFile, 'utf8').trim()
  } catch (cause) {
    const what = `the password of the embedded database can't be read from ${passwordFile}`
    throw new EmbeddedError('EMBEDDED_FAILED', `${what}: put that file of the same backup as ${data} back`, {
      cause,
    })
  }
  return `postgres://limpet:${password}@127.0.0.1:${port}/${database}`
}

/** Null before the first start. */
export function rememberedPort({ portFile }: Pick<Cluster, 'portFile'>): number | null {
  const port = existsSync(portFile) ? Number(readFileSync(portFile, 'utf8')) : NaN
  return Number.isInteger(port) && port > 0 && port < 65536 ? port : null
}

export function rememberPort({ portFile }: Cluster, port: number): void {
  if (rememberedPort({ portFile }) !== port) writeDurably(portFile, String(port), 'w')
}

const LOG_BYTES = 10 * 1024 * 1024

/** Puts a log that has grown long aside; PostgreSQL itself only ever appends. */
export function rotateLog({ logFile }: Cluster): void {
  if (existsSync(logFile) && statSync(logFile).size > LOG_BYTES) renameSync(logFile, `${logFile}.1`)
}
