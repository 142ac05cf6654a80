/**
 * A PostgreSQL as an operator may have one: on a port of 127.0.0.1, its role `limpet` a superuser with a password. From the
 * binaries of the embedded one, and laid out on disk as limpet 0.1 laid out that one: DIR/postgres/data, password, port.
 */
import { randomBytes } from 'node:crypto'
import { appendFileSync, closeSync, existsSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '../../src/pace/clock.ts'
import { type Cluster, openRoom } from '../../src/embedded/cluster.ts'
import {
  endWithUs,
  isGone,
  isReady,
  query,
  type StopMode,
  stopPostmaster,
} from '../../src/embedded/postmaster.ts'
import { binary, findProgram } from '../../src/embedded/program.ts'
import { findRunAs, type RunAs } from '../../src/embedded/user.ts'
import { isAlive } from '../../src/embedded/process-identity.ts'
import { quietPort } from './port.ts'

export interface Server {
  /** Of its database `limpet`. */
  url: string
  pid: number
  port: number
  /** Default `fast`. */
  stop(mode?: StopMode): Promise<void>
}

export interface ServerOptions {
  dataDir: string
  /** Otherwise the one it had last time, or one that is free. */
  port?: number
  /** Further lines for `postgresql.conf`, written when the directory is made. */
  settings?: Readonly<Record<string, string>>
}

const SETTINGS = `
unix_socket_directories = ''
max_connections = 100
shared_buffers = 128MB
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_checkpoints = off
log_line_prefix = '%m [%p] '
`
const PATIENCE_MS = 120_000
const stop =
  (pid: number) =>
  (mode: StopMode = 'fast') =>
    stopPostmaster(pid, mode, systemClock)

export async function startServer({ dataDir, port, settings = {} }: ServerOptions): Promise<Server> {
  const cluster = openRoom(dataDir)
  const runAs = await findRunAs(findProgram(), cluster.room)
  if (!existsSync(cluster.data)) await makeServer(cluster, runAs, settings)
  const portFile = join(cluster.room, 'port')
  const known = port ?? (existsSync(portFile) ? Number(readFileSync(portFile, 'utf8')) : undefined)
  const deadline = performance.now() + PATIENCE_MS
  for (;;) {
    const at = known ?? (await quietPort())
    const said = await tryServer(cluster, runAs, at)
    if (typeof said !== 'string') {
      writeFileSync(portFile, String(at))
      return said
    }
    // Backends of a server that was killed outlive it for a moment; a port may have been taken just now.
    const passing = /still in use|already exists|could not bind/.test(said)
    if (!passing || performance.now() > deadline) throw new Error(`the server did not start: ${said}`)
    await systemClock.sleep(200)
  }
}

async function makeServer(
  { room, data, passwordFile }: Cluster,
  runAs: RunAs,
  settings: Readonly<Record<string, string>>,
): Promise<void> {
  writeFileSync(passwordFile, randomBytes(24).toString('hex'), { mode: 0o600 })
  runAs.own(passwordFile)
  const args = ['-D', data, '--encoding=UTF8', '--locale=C', '--auth=scram-sha-256', '--username=limpet']
  args.push(`--pwfile=${passwordFile}`, '--no-sync')
  const child = runAs.launch(binary(runAs.program, 'initdb'), args, { cwd: room, stdio: 'ignore' })
  const status = await new Promise((resolve, reject) => child.on('error', reject).on('close', resolve))
  if (status !== 0) throw new Error(`initdb in ${room} ended with ${String(status)}`)
  const extra = Object.entries(settings).map(([name, value]) => `${name} = '${value}'\n`)
  appendFileSync(join(data, 'postgresql.conf'), SETTINGS + extra.join(''))
}

/** What it said where it does not run. */
async function tryServer(cluster: Cluster, runAs: RunAs, port: number): Promise<Server | string> {
  const logFile = openSync(cluster.logFile, 'a', 0o600)
  const before = readFileSync(cluster.logFile).length
  const args = ['-D', cluster.data, '-p', String(port), '-c', 'listen_addresses=127.0.0.1']
  const child = runAs.launch(binary(runAs.program, 'postgres'), args, {
    cwd: cluster.room,
    stdio: ['ignore', logFile, logFile],
    detached: true,
  })
  closeSync(logFile)
  const { pid } = child
  if (pid === undefined) return 'it could not be run'
  endWithUs(pid, cluster)
  const password = readFileSync(cluster.passwordFile, 'utf8')
  const url = (database: string) => `postgres://limpet:${password}@127.0.0.1:${port}/${database}`
  while (child.exitCode === null && child.signalCode === null && isAlive(pid)) {
    if (isReady(cluster, pid)) {
      child.unref()
      await makeDatabase(url('postgres'))
      return { url: url('limpet'), pid, port, stop: stop(pid) }
    }
    await systemClock.sleep(25)
  }
  await isGone(pid, systemClock, PATIENCE_MS)
  return readFileSync(cluster.logFile).subarray(before).toString()
}

async function makeDatabase(url: string): Promise<void> {
  await query(url, async (client) => {
    const { rowCount, rows } = await client.query<{ standby: boolean }>(
      `select pg_is_in_recovery() as standby, datname from pg_database where datname = 'limpet'`,
    )
    if (rowCount === 0 && rows[0]?.standby !== true) await client.query('create database limpet')
  })
}
