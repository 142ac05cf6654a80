/**
 * The embedded database: a real PostgreSQL, from the binaries that npm brought, under `data_dir`.
 *
 * Promises: it listens on 127.0.0.1 only, behind a password; a server that an earlier limpet left
 * running on this `data_dir` (killed with SIGKILL) is adopted, and one that crashed recovers; the
 * server is in a session of its own, so that a Ctrl-C meant for limpet does not stop it before limpet
 * has written down what it has in hand. Nobody stops it but `stop`, and the end of the process that started it, whichever
 * it is but a SIGKILL.
 *
 * The caller holds the lock of `data_dir` (`data-dir-lock.ts`) or knows that nobody else starts here.
 */
import type { ChildProcess } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import type { Clock } from '../clock.ts'
import { systemClock } from '../clock.ts'
import type { Cluster } from './embedded-cluster.ts'
import { clusterUrl, makeCluster, openRoom, refuseOtherVersion, rememberedPort } from './embedded-cluster.ts'
import { rememberPort, rotateLog } from './embedded-cluster.ts'
import type { Postmaster, StopMode } from './embedded-postmaster.ts'
import {
  answers,
  endWithUs,
  findPostmaster,
  isGone,
  isReady,
  PATIENCE_MS,
  query,
  stopPostmaster,
} from './embedded-postmaster.ts'
import { binary, EmbeddedError, findProgram } from './embedded-program.ts'
import type { RunAs } from './embedded-user.ts'
import { findRunAs } from './embedded-user.ts'
import { isAlive } from './process-identity.ts'

export interface EmbeddedOptions {
  /** Made if missing. */
  dataDir: string
  log: { info(fields: object, message: string): void; warn(fields: object, message: string): void }
  /** Otherwise the one it had last time, or a free one. */
  port?: number
  /** Further lines for `postgresql.conf`, written when the directory is made. */
  settings?: Readonly<Record<string, string>>
  /** False for tests whose database may be lost with the machine: directory made without waiting for the disk. */
  durable?: boolean
  /** A server that was running already is ours too, and ends with us. */
  owns?: boolean
  clock?: Clock
}

export interface Embedded {
  /** Of the database `limpet`, as its owner, with the password. */
  url: string
  pid: number
  port: number
  /** Whether it was running already; then somebody else may be using it. */
  adopted: boolean
  /** Default `fast`: clients are sent away, everything is written down. Resolves when the process is gone. */
  stop(mode?: StopMode): Promise<void>
}

/** @throws EmbeddedError with a message of one line that says what to do */
export async function startEmbedded(options: EmbeddedOptions): Promise<Embedded> {
  const { dataDir, log, settings = {}, durable = true, owns = false, clock = systemClock } = options
  const program = findProgram()
  const cluster = openRoom(dataDir)
  refuseOtherVersion(cluster, program)
  const orphan = await adopt(cluster, clock)
  if (orphan) {
    if (owns) endWithUs(orphan.pid, cluster)
    log.info({ pid: orphan.pid, port: orphan.port }, 'embedded PostgreSQL was running already')
    return embedded(cluster, orphan, { adopted: true, clock })
  }
  const runAs = await findRunAs(program, cluster.room)
  await makeCluster(cluster, { runAs, settings, durable })
  rotateLog(cluster)
  const started = await startServer(cluster, { runAs, clock, port: options.port })
  try {
    rememberPort(cluster, started.port)
    log.info({ pid: started.pid, port: started.port, as: runAs.how }, 'embedded PostgreSQL started')
    return await embedded(cluster, started, { adopted: false, clock })
  } catch (error) {
    await stopPostmaster(started.pid, 'fast', clock).catch(() => undefined)
    throw error
  }
}

async function embedded(
  cluster: Cluster,
  { pid, port }: Postmaster,
  { adopted, clock }: { adopted: boolean; clock: Clock },
): Promise<Embedded> {
  await query(clusterUrl(cluster, port, 'postgres'), async (client) => {
    const { rowCount } = await client.query(`select from pg_database where datname = 'limpet'`)
    if (rowCount === 0) await client.query('create database limpet')
  })
  const stop = (mode: StopMode = 'fast') => stopPostmaster(pid, mode, clock)
  return { url: clusterUrl(cluster, port, 'limpet'), pid, port, adopted, stop }
}

/** The server that is there already, once it answers; null when there is none, or it was about to go. */
async function adopt(cluster: Cluster, clock: Clock): Promise<Postmaster | null> {
  const deadline = clock.monotonic() + PATIENCE_MS
  for (;;) {
    const running = findPostmaster(cluster)
    if (!running) return null
    if (await answers(cluster, running.port)) return running
    if (clock.monotonic() > deadline) {
      throw new EmbeddedError(
        'EMBEDDED_FAILED',
        `a PostgreSQL (process ${running.pid}) runs on ${cluster.data} but does not answer: stop it and start again`,
      )
    }
    await clock.sleep(50)
  }
}

type Attempt =
  { kind: 'up'; server: Postmaster } | { kind: 'port taken' | 'still in use' | 'failed'; why: string }

async function startServer(
  cluster: Cluster,
  { runAs, clock, port }: { runAs: RunAs; clock: Clock; port: number | undefined },
): Promise<Postmaster> {
  const deadline = clock.monotonic() + PATIENCE_MS
  let wanted = port ?? rememberedPort(cluster) ?? (await freePort())
  for (;;) {
    const attempt = await tryServer(cluster, { runAs, clock, port: wanted })
    if (attempt.kind === 'up') return attempt.server
    const inTime = clock.monotonic() < deadline
    if (attempt.kind === 'port taken' && port === undefined && inTime) wanted = await freePort()
    else if (attempt.kind === 'still in use' && inTime) await clock.sleep(200)
    else throw new EmbeddedError('EMBEDDED_FAILED', `the embedded PostgreSQL did not start: ${attempt.why}`)
  }
}

async function tryServer(
  cluster: Cluster,
  { runAs, clock, port }: { runAs: RunAs; clock: Clock; port: number },
): Promise<Attempt> {
  const logFile = openSync(cluster.logFile, 'a', 0o600)
  const before = readFileSync(cluster.logFile).length
  const child = runAs.launch(
    binary(runAs.program, 'postgres'),
    ['-D', cluster.data, '-p', String(port), '-c', 'listen_addresses=127.0.0.1'],
    { cwd: cluster.room, stdio: ['ignore', logFile, logFile], detached: true },
  )
  closeSync(logFile)
  let failure: string | undefined
  child.on('error', (error) => (failure = error.message))
  const pid = child.pid
  if (pid !== undefined) endWithUs(pid, cluster)
  const deadline = clock.monotonic() + PATIENCE_MS
  while (pid !== undefined && failure === undefined && isRunning(child)) {
    if (isReady(cluster, pid) && (await answers(cluster, port))) {
      child.unref()
      return { kind: 'up', server: { pid, port } }
    }
    if (clock.monotonic() > deadline) {
      await stopPostmaster(pid, 'immediate', clock)
      return { kind: 'failed', why: `not ready after ${PATIENCE_MS / 1000} s, see ${cluster.logFile}` }
    }
    await clock.sleep(25)
  }
  if (pid !== undefined) await isGone(pid, clock, PATIENCE_MS)
  return explain(readFileSync(cluster.logFile).subarray(before).toString(), failure, cluster.logFile)
}

function isRunning(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null && child.pid !== undefined && isAlive(child.pid)
}

function explain(said: string, failure: string | undefined, logFile: string): Attempt {
  const lines = said.split('\n').filter((line) => /FATAL|ERROR|error while loading|not found/.test(line))
  const why = `${failure ?? lines.at(-1)?.replace(/^.*?(FATAL|ERROR): +/, '') ?? 'it said nothing'} (${logFile})`
  if (/could not create any TCP\/IP sockets|could not bind/.test(said)) return { kind: 'port taken', why }
  // Backends of a server that was killed outlive it for a moment.
  if (/shared memory block .* is still in use|lock file ".*" already exists/.test(said)) {
    return { kind: 'still in use', why }
  }
  return { kind: 'failed', why }
}

/** A port of 127.0.0.1 on which nobody listens at this moment. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.on('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as AddressInfo
      probe.close(() => resolve(port))
    })
  })
}
