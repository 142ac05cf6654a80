/**
 * The embedded database: a real PostgreSQL under `data_dir`, from the binaries that npm installed.
 *
 * Promises: it listens on a Unix socket in a folder that no other user can enter, and on no port. limpet connects as a
 * role that is not a superuser, with a password that is new at each start, to a server that proves that it knows it. A
 * server that an earlier, killed limpet left running on this `data_dir` is adopted, and one that crashed recovers. The
 * server has a session of its own, so that a Ctrl-C meant for limpet does not stop it before limpet has written down
 * its unfinished work. Only `stop` ends it, and the end of the process that started it, unless that is a SIGKILL.
 *
 * The caller holds the lock of `data_dir` (`data-dir-lock.ts`), or knows that nothing else starts here.
 */
import type { ChildProcess } from 'node:child_process'
import { closeSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../pace/clock.ts'
import { systemClock } from '../pace/clock.ts'
import { adoptEmbedded } from './adopt.ts'
import type { Cluster } from './cluster.ts'
import { clusterUrl, makeCluster, openRoom, refuseOtherVersion } from './cluster.ts'
import { leaveRoom, openLog, rotateLog, writeHba, writePassword } from './cluster.ts'
import type { StopMode } from './postmaster.ts'
import { answers, endWithUs, isGone, isReady, SERVER_PATIENCE_MS, stopPostmaster } from './postmaster.ts'
import { binary, EmbeddedError, findProgram } from './program.ts'
import { newPassword, settleRoles } from './roles.ts'
import { leaveSocketFolder, PORT, socketFolders } from './socket.ts'
import type { RunAs } from './user.ts'
import { findRunAs } from './user.ts'
import { isAlive } from './process-identity.ts'

export interface EmbeddedOptions {
  /** Made if missing. */
  dataDir: string
  log: { info(fields: object, message: string): void; warn(fields: object, message: string): void }
  /** Of a server that has ended: connections lead there, and know that password. */
  place?: ServerPlace
  /** False for tests whose database may be lost with the machine: directory made without waiting for the disk. */
  durable?: boolean
  /** A server that was running already is ours too, and ends with us. */
  owns?: boolean
  clock?: Clock
}

/** Where a server is found. */
export interface ServerPlace {
  /** Of its socket. */
  folder: string
  password: string
}

export interface Embedded {
  /** Of the database `limpet`, as its owner, with the password. */
  url: string
  pid: number
  place: ServerPlace
  /** Whether it was running already; then another process may be using it. */
  adopted: boolean
  /** Default `fast`: clients are sent away, everything is written down. Resolves when the process is gone. */
  stop(mode?: StopMode): Promise<void>
}

interface Making {
  runAs: RunAs
  clock: Clock
  durable: boolean
  place: ServerPlace | undefined
}

/** @throws EmbeddedError with a message of one line that says what to do */
export async function startEmbedded(options: EmbeddedOptions): Promise<Embedded> {
  const { dataDir, log, durable = true, owns = false, clock = systemClock, place } = options
  const program = findProgram()
  const warn = (what: string) => log.warn({}, what)
  const cluster = openRoom(dataDir, warn)
  refuseOtherVersion(cluster, program)
  const found = await adoptEmbedded(cluster, { clock, log, renew: owns })
  if (found !== null) {
    if (owns) endWithUs(found.pid, cluster)
    log.info({ pid: found.pid }, 'embedded PostgreSQL was already running')
    return embedded(cluster, found, { adopted: true, clock })
  }
  const runAs = await findRunAs(program, cluster.room, warn).catch((error: unknown) => {
    leaveRoom(cluster)
    throw error
  })
  await makeCluster(cluster, { runAs, durable })
  rotateLog(cluster)
  const started = await startServer(cluster, { runAs, clock, durable, place })
  log.info({ pid: started.pid, as: runAs.how }, 'embedded PostgreSQL started')
  return embedded(cluster, started, { adopted: false, clock })
}

function embedded(
  cluster: Cluster,
  { pid, place }: { pid: number; place: ServerPlace },
  { adopted, clock }: { adopted: boolean; clock: Clock },
): Embedded {
  const stop = async (mode: StopMode = 'fast') => {
    await stopPostmaster(pid, mode, clock)
    leaveSocketFolder(cluster, place.folder)
  }
  return { url: clusterUrl(place.folder, PORT, place.password), pid, place, adopted, stop }
}

type StartAttempt =
  | { kind: 'up'; server: { pid: number; place: ServerPlace } }
  | { kind: 'no socket there' | 'still in use' | 'failed'; why: string }

async function startServer(cluster: Cluster, making: Making): Promise<{ pid: number; place: ServerPlace }> {
  const { runAs, clock } = making
  const deadline = clock.monotonic() + SERVER_PATIENCE_MS
  const folders = socketFolders(cluster, runAs, making.place?.folder)
  let folder = folders.next()
  let last = 'no folder is safe for its socket: set XDG_RUNTIME_DIR to a folder of yours with mode 0700'
  while (folder.done !== true) {
    const attempt = await tryServer(cluster, folder.value, making)
    if (attempt.kind === 'up') return attempt.server
    last = attempt.why
    if (attempt.kind === 'failed' || clock.monotonic() > deadline) break
    if (attempt.kind === 'still in use') await clock.sleep(200)
    else folder = folders.next()
  }
  throw new EmbeddedError('EMBEDDED_FAILED', `the embedded PostgreSQL did not start: ${last}`)
}

async function tryServer(cluster: Cluster, folder: string, making: Making): Promise<StartAttempt> {
  const { runAs, clock, durable } = making
  const place = { folder, password: making.place?.password ?? newPassword() }
  const roles = await settleRoles(cluster, { runAs, password: place.password, durable })
  if (!roles.done) return explain(roles.said, undefined, 'in single-user mode')
  writeHba(cluster)
  writePassword(cluster, place.password)
  // Of limpet up to 0.1: no server listens on a port any more.
  rmSync(join(cluster.room, 'port'), { force: true })
  const logFile = openLog(cluster)
  const before = readFileSync(cluster.logFile).length
  const child = runAs.launch(binary(runAs.program, 'postgres'), argumentsFor(cluster, folder), {
    cwd: cluster.room,
    stdio: ['ignore', logFile, logFile],
    detached: true,
  })
  closeSync(logFile)
  let failure: string | undefined
  child.on('error', (error) => (failure = error.message))
  const pid = child.pid
  if (pid !== undefined) endWithUs(pid, cluster)
  const url = clusterUrl(folder, PORT, place.password)
  const deadline = clock.monotonic() + SERVER_PATIENCE_MS
  while (pid !== undefined && failure === undefined && isRunning(child)) {
    if (isReady(cluster, pid) && (await answers(url)) === 'yes') {
      child.unref()
      return { kind: 'up', server: { pid, place } }
    }
    if (clock.monotonic() > deadline) {
      await stopPostmaster(pid, 'immediate', clock)
      return { kind: 'failed', why: `not ready after ${SERVER_PATIENCE_MS / 1000} s, see ${cluster.logFile}` }
    }
    await clock.sleep(25)
  }
  if (pid !== undefined) await isGone(pid, clock, SERVER_PATIENCE_MS)
  return explain(readFileSync(cluster.logFile).subarray(before).toString(), failure, cluster.logFile)
}

/** What is on the command line wins over every file of settings. */
function argumentsFor(cluster: Cluster, folder: string): string[] {
  const settings = [
    'listen_addresses=',
    // A list, in which a path may hold a comma.
    `unix_socket_directories="${folder.replaceAll('"', '""')}"`,
    'unix_socket_permissions=0700',
    'unix_socket_group=',
    `hba_file=${cluster.hbaFile}`,
  ]
  return ['-D', cluster.data, '-p', String(PORT), ...settings.flatMap((one) => ['-c', one])]
}

function isRunning(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null && child.pid !== undefined && isAlive(child.pid)
}

function explain(said: string, failure: string | undefined, where: string): StartAttempt {
  const lines = said.split('\n').filter((line) => /FATAL|ERROR|error while loading|not found/.test(line))
  const why = `${failure ?? lines.at(-1)?.replace(/^.*?(FATAL|ERROR): +/, '') ?? 'it printed nothing'} (${where})`
  // Some file systems hold no sockets.
  if (/could not create any Unix-domain sockets|could not (bind|create) Unix/.test(said)) {
    return { kind: 'no socket there', why }
  }
  // Backends of a server that was killed outlive it for a moment.
  if (/shared memory block .* is still in use|lock file ".*" already exists/.test(said)) {
    return { kind: 'still in use', why }
  }
  return { kind: 'failed', why }
}
