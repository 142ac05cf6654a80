/**
 * The running server of a data directory: is there one, does it answer, and how is it stopped?
 *
 * `postmaster.pid` is PostgreSQL's own file. After a crash it is left behind and names a process that is gone, or by
 * now another one. Only a process of the directory's own user that runs on this directory counts, because any process
 * can choose its own command line.
 */
import { readFileSync, realpathSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type pg from 'pg'
import type { Clock } from '../pace/clock.ts'
import type { Cluster } from './cluster.ts'
import { EmbeddedError } from './program.ts'
import { commandLine, isAlive, processOwner, workingDirectory } from './process-identity.ts'
import { clientFor, UnprovenServerError } from '../store/scram-client.ts'
import { ANSWERS } from '../store/check-client.ts'

export interface Postmaster {
  pid: number
  /** The user as whom it runs. */
  owner: number
  /** The folder of its socket; null: limpet up to 0.1 started it, on a port of 127.0.0.1. */
  folder: string | null
  port: number
}

/** What `stop` sends, in PostgreSQL's words: wait for clients to go, send them away, or just die (and recover). */
const SIGNALS = { smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT' } as const
export type StopMode = keyof typeof SIGNALS

/** How long a stop, or a recovery at start, may take before we call it a failure. */
export const SERVER_PATIENCE_MS = 120_000
const POLL_MS = 25

/**
 * The server that runs on this data directory, or null. A `postmaster.pid` that names a stranger is
 * removed: PostgreSQL only looks whether that number is alive, and would not start.
 */
export function findPostmaster({ data }: Cluster): Postmaster | null {
  const [pidLine = '', , , portLine = '', folder = ''] = pidFile(data)
  const pid = Number(pidLine)
  if (!Number.isInteger(pid) || pid <= 0 || !isAlive(pid)) return null
  if (runsOn(pid, data)) return { pid, owner: ownerOf(data), folder: folder || null, port: Number(portLine) }
  rmSync(join(data, 'postmaster.pid'), { force: true })
  return null
}

const ownerOf = (path: string): number => statSync(path).uid

/** Whether `pid` is a server on this directory: every one has it as working directory. */
function runsOn(pid: number, data: string): boolean {
  if (processOwner(pid) !== ownerOf(data)) return false
  const directory = workingDirectory(pid)
  return directory === null ? isStartedFor(pid, data) : directory === realpathSync(data)
}

/** True for our own from its first moment on. */
const isStartedFor = (pid: number, data: string) => commandLine(pid)?.includes(data) === true

/** Its lines: pid, data directory, start time, port, socket directory, address, shared memory, status. */
function pidFile(data: string): string[] {
  try {
    return readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

/** Whether process `pid` has written down that it takes connections; asks nobody who may have got its port. */
export function isReady({ data }: Cluster, pid: number): boolean {
  const lines = pidFile(data)
  return lines[0] === String(pid) && lines[7]?.trim() === 'ready'
}

/** `yes`: it takes queries; `not now`: it is not there (yet) or is starting up or shutting down; `no`: it is not ours. */
export async function answers(url: string): Promise<'yes' | 'not now' | 'no'> {
  try {
    await query(url, (client) => client.query(ANSWERS))
    return 'yes'
  } catch (error) {
    // 28: what we know of it is not so any more, its password or the role.
    if (error instanceof UnprovenServerError || /^28/.test((error as { code?: string }).code ?? ''))
      return 'no'
    if (isAway(error)) return 'not now'
    throw error
  }
}

/** Runs `work` on one connection that is closed afterwards. */
export async function query<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new (clientFor(url))({ connectionString: url, connectionTimeoutMillis: 5_000 })
  // A connection that breaks also rejects what waits on it; this keeps it from ending the process.
  client.on('error', () => undefined)
  try {
    await client.connect()
    return await work(client)
  } finally {
    await client.end().catch(() => undefined)
  }
}

function isAway(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const code = (error as { code?: string }).code ?? ''
  return code.startsWith('57P') || /^E[A-Z]+$/.test(code) || /timeout|terminated|ended/i.test(error.message)
}

/** Servers that end with this process, and the directory each runs on. */
const ours = new Map<number, string>()

/**
 * Has this process' end, whichever it is but a SIGKILL, end the server `pid` too: it is told to stop and stops by itself.
 * `stopPostmaster` is the good way, since it waits; this is for an exit in the middle of something.
 */
export function endWithUs(pid: number, { data }: Cluster): void {
  if (ours.size === 0) process.once('exit', endOurs)
  ours.set(pid, data)
}

function endOurs(): void {
  for (const [pid, data] of ours) {
    // By now the number may be another program's.
    try {
      // By now the number may be another program's.
      if (!runsOn(pid, data) && !isStartedFor(pid, data)) continue
      process.kill(pid, SIGNALS.fast)
    } catch {
      // It has just gone, or its directory has.
    }
  }
}

function forget(pid: number): void {
  if (ours.delete(pid) && ours.size === 0) process.off('exit', endOurs)
}

/** Resolves true when the process is gone, false when it still lives after `withinMs`. */
export async function isGone(pid: number, clock: Clock, withinMs: number): Promise<boolean> {
  const deadline = clock.monotonic() + withinMs
  while (isAlive(pid)) {
    if (clock.monotonic() > deadline) return false
    await clock.sleep(POLL_MS)
  }
  return true
}

/**
 * Stops the server and waits until it is gone. One that is not gone in time is stopped in mode
 * `immediate`, which loses nothing: the next start recovers.
 * @throws EmbeddedError `EMBEDDED_FAILED` when even that does not help
 */
export async function stopPostmaster(pid: number, mode: StopMode, clock: Clock): Promise<void> {
  for (const step of mode === 'immediate' ? [mode] : [mode, 'immediate' as const]) {
    if (!isAlive(pid) || !told(pid, SIGNALS[step]) || (await isGone(pid, clock, SERVER_PATIENCE_MS))) {
      forget(pid)
      return
    }
  }
  throw new EmbeddedError(
    'EMBEDDED_FAILED',
    `the embedded PostgreSQL (process ${pid}) does not stop: end that process yourself`,
  )
}

/** False where it is gone. */
function told(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
    throw error
  }
}
