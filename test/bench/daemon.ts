/** A daemon as users run it: `limpet run` in a process of its own, on a database and a queue of its own. */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Pool } from 'undici'
import { leaveBehind } from '../support/leftovers.ts'
import { until } from '../support/poll.ts'
import { quietPort } from '../support/port.ts'
import { OURS } from './events.ts'
import type { Setting } from './setting.ts'

export interface DaemonOptions {
  databaseUrl: string
  /** `postgres` or a redis:// URL. */
  queue: string
  roles: string
  federation?: Record<string, unknown>
  sources?: Record<string, unknown>
  /** Instead of 443, 8448 and 53. */
  ports?: { https: number; matrix: number; dns: number }
  /** How long requests in flight may take to end when it stops, ms. */
  graceMs?: number
  /** Write a CPU profile into this folder at the end. */
  profile?: string | undefined
}

export interface Daemon {
  pid: number
  /** POSTs items that are JSON already; throws unless they were all taken. */
  ingest(items: readonly string[], source?: string): Promise<void>
  /** An operator's action: `resume` of a destination. */
  act(destination: string, action: string): Promise<void>
  stop(): Promise<void>
}

/** Between two starts somebody else may take the port. */
const TRIES = 5
const TOKENS = { ingest: 'bench-ingest-token', admin: 'bench-admin-token' }

export async function startDaemon(setting: Setting, options: DaemonOptions): Promise<Daemon> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await start(setting, options)
    } catch (error) {
      if (tries === TRIES || !/somebody else listens/.test(String(error))) throw error
    }
  }
}

async function start(setting: Setting, options: DaemonOptions): Promise<Daemon> {
  const folder = mkdtempSync(join(tmpdir(), 'limpet-bench-run-'))
  const port = await quietPort()
  const config = join(folder, 'limpet.yaml')
  writeFileSync(join(folder, 'key'), setting.keyText, { mode: 0o600 })
  writeFileSync(join(folder, 'ca.pem'), setting.ca)
  const settings = {
    server_name: OURS,
    signing_key_path: 'key',
    database: options.databaseUrl,
    queue: options.queue,
    listen: { host: '127.0.0.1', port },
    tokens: TOKENS,
    federation: {
      custom_ca_paths: ['ca.pem'],
      ip_allowlist: ['127.0.0.0/8'],
      ...(knowsRamp(setting) ? { ramp_per_second: 10_000 } : {}),
      ...options.federation,
    },
    ...(options.sources === undefined ? {} : { sources: options.sources }),
    ...(options.graceMs === undefined ? {} : { shutdown_grace_ms: options.graceMs }),
    log: { level: 'info' },
  }
  writeFileSync(config, JSON.stringify(settings), { mode: 0o600 })
  const logFile = join(folder, 'log')
  const log = openSync(logFile, 'a')
  const profiling = options.profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', options.profile]
  const run =
    options.ports === undefined
      ? [setting.built('src/main.ts'), 'run', '--config', config, '--role', options.roles]
      : [setting.built('test/bench/networked.ts'), config, options.roles, JSON.stringify(options.ports)]
  const child = spawn(process.execPath, [...profiling, ...run], { stdio: ['ignore', log, log] })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const http = new Pool(`http://127.0.0.1:${port}`, { connections: 256 })
  const remove = () => rmSync(folder, { recursive: true, force: true })
  const stop = async () => {
    await http.destroy()
    child.kill('SIGTERM')
    await ended
    for (const line of complaints(readFileSync(logFile, 'utf8')))
      process.stderr.write(`  limpet said: ${line}\n`)
    remove()
    forget()
  }
  const killNow = () => {
    child.kill('SIGKILL')
    remove()
  }
  const forget = leaveBehind({ clear: stop, kill: killNow })
  try {
    await until(
      async () =>
        child.exitCode !== null ||
        (await http.request({ path: '/health/ready', method: 'GET' })).statusCode === 200,
      { what: 'the daemon to be ready' },
    )
    if (child.exitCode !== null) throw new Error(readFileSync(logFile, 'utf8'))
  } catch (error) {
    await stop()
    throw error
  }
  async function post(path: string, token: string, body: string): Promise<void> {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const answer = await http.request({ path, method: 'POST', headers, body })
    const text = await answer.body.text()
    if (answer.statusCode !== 200) throw new Error(`${path} answered ${answer.statusCode}: ${text}`)
  }
  return {
    pid: child.pid ?? 0,
    ingest: (items, source = 'default') =>
      post('/v1/ingest', TOKENS.ingest, `{"source":"${source}","items":[${items.join(',')}]}`),
    act: (destination, action) =>
      post(`/v1/destinations/${encodeURIComponent(destination)}/${action}`, TOKENS.admin, '{}'),
    stop,
  }
}

/** Whether this limpet, which may be an older one, takes a setting for how many that are due are woken a second. */
function knowsRamp({ built }: Setting): boolean {
  const schema = built('src/config/schema.ts')
  return existsSync(schema) && /\bramp_per_second:/.test(readFileSync(schema, 'utf8'))
}

/** The first few lines of the log that are warnings or worse. */
function complaints(log: string): string[] {
  const lines = log
    .split('\n')
    .filter((line) => line.includes('"level"') && !line.includes('"level":30'))
    // Of our own setting, which receivers on loopback need from that release on.
    .filter((line) => !line.includes('come into force in a later release'))
  return [...lines.slice(0, 3), ...(lines.length > 3 ? [`… ${lines.length - 3} more`] : [])].map((line) =>
    line.slice(0, 400),
  )
}
