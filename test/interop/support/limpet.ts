/** limpet itself, as an operator runs it beside a Synapse: its own process, its own database, a configuration file. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { builtMain, HERE } from '../../support/built.ts'
import { inherited } from '../../support/inherited.ts'
import { leaveBehind } from '../../support/leftovers.ts'
import { until } from '../../support/poll.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { readerUrl } from './reader.ts'
import type { Synapse } from './synapse.ts'
import { overSocket } from './unix-http.ts'

const hurryPath = join(import.meta.dirname, 'hurry.ts')
const START_DEADLINE_MS = 60_000

export interface Limpet {
  /** limpet's own database. */
  readonly databaseUrl: string
  /** Asks its API; the answer's JSON. @throws for anything but 200 */
  get<T>(path: string): Promise<T>
  /** Has its API do something. @throws for anything but 200 */
  post(path: string): Promise<void>
  /** Gives it items by its ingest API, as a source beside the Synapse. @throws for anything but 200 */
  ingest(items: readonly Record<string, unknown>[]): Promise<void>
  /** SIGTERM; resolves to the exit status. */
  stop(): Promise<number | null>
  kill9(): Promise<void>
  /** A minute passes for it (`mayHurry`), and for nobody else. */
  hurry(): void
  /** Starts it again after `stop` or `kill9`. @throws when it ends instead */
  start(): Promise<void>
  /** Starts it where it is expected to give up; resolves to its exit status. */
  startInVain(): Promise<number | null>
  logTail(lines?: number): Promise<string>
  dispose(): Promise<void>
}

export interface LimpetOptions {
  readonly synapse: Synapse
  /** An empty database for limpet itself. Default: a new one. */
  readonly databaseUrl?: string
  /** Whether it hears Synapse's Redis. Default true. */
  readonly redis?: boolean
  /** The port of 127.0.0.1 through which it reaches Synapse's database. Default: that database's own. */
  readonly throughPort?: number
  /** Whether its clock can be put forward. Default false. */
  readonly mayHurry?: boolean
  /** Further sections of the configuration file, each whole: `federation` then has neither the authority nor addresses allowed. */
  readonly settings?: Readonly<Record<string, unknown>>
}

/** Retries that fit a story: a server that was away is noticed within two seconds of its return. */
export const QUICK = { first_ms: 300, multiplier: 2, max_ms: 1_500, jitter: 0.2 }

/** Starts a limpet that sends for `synapse`, and waits until it follows that Synapse's stream. */
export async function startLimpet(options: LimpetOptions): Promise<Limpet> {
  const { synapse, redis = true, throughPort, mayHurry = false, settings = {} } = options
  const databaseUrl = options.databaseUrl ?? (await freshDatabase({ migrated: false })).url
  const readable = new URL(await readerUrl(synapse.databaseUrl))
  if (throughPort !== undefined) readable.port = String(throughPort)
  const folder = await mkdtemp(join(tmpdir(), 'limpet-interop-'))
  const socket = join(folder, 'api.sock')
  const api = overSocket(socket)
  const configPath = join(folder, 'limpet.yaml')
  const logPath = join(folder, 'limpet.log')
  const tokens = { ingest: 'interop-ingest', read: 'interop-read', admin: 'interop-admin' }
  await writeFile(
    configPath,
    stringify({
      server_name: synapse.serverName,
      signing_key_path: synapse.signingKeyPath,
      data_dir: join(folder, 'data'),
      database: databaseUrl,
      listen: { socket, mode: '0600' },
      tokens,
      federation: {
        custom_ca_paths: [synapse.caPath],
        ip_allowlist: ['127.0.0.0/8', '::1/128'],
        backoff: QUICK,
      },
      sources: { synapse: { database: readable.href, ...(redis ? { redis: synapse.redisUrl } : {}) } },
      // What a killed one held is free again within a second.
      internal: { lease_ms: 1_000, stalled_ms: 1_000 },
      sweep_interval_ms: 1_000,
      ...settings,
    }),
    { mode: 0o600 },
  )
  let child: ReturnType<typeof spawn> | null = null
  const forget = leaveBehind({ clear: dispose, kill })

  async function launch(): Promise<ReturnType<typeof spawn>> {
    const log = await open(logPath, 'a')
    const hurries = mayHurry ? ['--import', 'tsx', '--import', hurryPath] : []
    const args = [...hurries, builtMain(), 'run', '--config', configPath]
    const started = spawn(process.execPath, args, {
      cwd: HERE,
      env: inherited(),
      stdio: ['ignore', log.fd, log.fd],
    })
    await log.close()
    child = started
    return started
  }

  async function start(): Promise<void> {
    const started = await launch()
    const follows = async () => {
      const { source_token: token } = await get<{ source_token: string | null }>(
        '/v1/ingest/position?source=synapse',
      )
      return token !== null
    }
    await until(async () => started.exitCode !== null || (await follows()), {
      withinMs: START_DEADLINE_MS,
      everyMs: 50,
      what: 'limpet to follow the Synapse',
    })
    if (started.exitCode !== null)
      throw new Error(`limpet ended with ${started.exitCode}:\n${await logTail()}`)
  }

  async function end(signal: NodeJS.Signals): Promise<number | null> {
    if (child === null) return null
    if (child.exitCode === null && child.signalCode === null) {
      child.kill(signal)
      await once(child, 'exit')
    }
    return child.exitCode
  }

  async function get<T>(path: string): Promise<T> {
    const { status, text } = await api.ask('GET', path, { token: tokens.read })
    if (status !== 200) throw new Error(`${path}: ${status} ${text}`)
    return JSON.parse(text) as T
  }

  async function post(path: string): Promise<void> {
    const { status, text } = await api.ask('POST', path, { token: tokens.admin })
    if (status !== 200) throw new Error(`${path}: ${status} ${text}`)
  }

  async function ingest(items: readonly Record<string, unknown>[]): Promise<void> {
    const { status, text } = await api.ask('POST', '/v1/ingest', { token: tokens.ingest, body: { items } })
    if (status !== 200) throw new Error(`/v1/ingest: ${status} ${text}`)
  }

  async function logTail(lines = 40): Promise<string> {
    const text = await readFile(logPath, 'utf8').catch(() => '')
    return text.trimEnd().split('\n').slice(-lines).join('\n')
  }

  function kill(): void {
    child?.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
  async function dispose(): Promise<void> {
    forget()
    await end('SIGTERM')
    await api.close()
    await rm(folder, { recursive: true, force: true })
  }

  try {
    await start()
  } catch (error) {
    const log = await logTail()
    await dispose()
    throw new Error(`limpet did not start: ${String(error)}\n${log}`, { cause: error })
  }
  return {
    databaseUrl,
    get,
    post,
    ingest,
    stop: () => end('SIGTERM'),
    kill9: () => end('SIGKILL').then(() => undefined),
    hurry: () => void child?.kill('SIGUSR2'),
    start,
    async startInVain() {
      const started = await launch()
      await once(started, 'exit')
      return started.exitCode
    },
    logTail,
    dispose,
  }
}
