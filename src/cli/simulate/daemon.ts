/**
 * The demo's daemon: a complete one in this process, with its own database in a temporary folder.
 *
 * Promise: after `stop` the database server has ended, and the folder is removed unless it is to be kept. If the start
 * fails, nothing is left.
 */
import { randomBytes } from 'node:crypto'
import { createWriteStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { loadConfig } from '../../config/config.ts'
import { startDaemon } from '../../daemon/daemon.ts'
import { generateKey } from '../../matrix/signing.ts'
import type { SigningKey } from '../../matrix/signing.ts'
import { makeLog } from '../../observe/log.ts'
import { CommandError } from '../cli-error.ts'

export interface DemoOptions {
  /** PEM of the authority that signed the fleet's certificates. */
  readonly authority: string
  readonly thresholdPdus: number
  readonly minAgeMs: number
  readonly keep: boolean
}

export interface Demo {
  readonly dir: string
  readonly serverName: string
  readonly key: SigningKey
  /** Hands items over as one request; throws unless they were taken. */
  ingest(items: readonly object[]): Promise<void>
  /** What the admin API answers, or `/metrics` as text. */
  get(path: string): Promise<unknown>
  /** Rejects when the daemon can't go on by itself. */
  readonly failed: Promise<void>
  stop(): Promise<void>
}

const SERVER_NAME = 'demo.example'

export async function startDemo({ authority, thresholdPdus, minAgeMs, keep }: DemoOptions): Promise<Demo> {
  const dir = mkdtempSync(join(tmpdir(), 'limpet-demo-'))
  const remove = () => {
    if (!keep) rmSync(dir, { recursive: true, force: true })
  }
  try {
    const { key, fileText } = generateKey(randomBytes)
    const token = () => randomBytes(24).toString('base64url')
    const tokens = { ingest: token(), admin: token() }
    const file = join(dir, 'limpet.yaml')
    writeFileSync(join(dir, 'signing.key'), fileText, { mode: 0o600 })
    writeFileSync(join(dir, 'authority.pem'), authority)
    const settings = settingsFor({ tokens, thresholdPdus, minAgeMs })
    writeFileSync(file, stringify(settings), { mode: 0o600 })
    const config = loadConfig({ file, env: {} })
    const stream = createWriteStream(join(dir, 'limpet.log'))
    const log = makeLog({ level: 'info', pretty: false, stream })
    const daemon = await startDaemon({
      config,
      roles: ['ingest', 'deliver', 'housekeep'],
      listen: config.listen,
      log,
    })
    const base = daemon.addresses[0] ?? ''
    return {
      ...{ dir, key, serverName: SERVER_NAME, failed: daemon.done },
      ingest: async (items) => {
        const body = items.map((item) => `${JSON.stringify(item)}\n`).join('')
        const type = 'application/x-ndjson'
        await ask(`${base}/v1/ingest`, { token: tokens.ingest, method: 'POST', type, body })
      },
      get: (path) => ask(`${base}${path}`, { token: tokens.admin }),
      stop: async () => {
        await daemon.stop()
        await new Promise<void>((resolve) => stream.end(() => resolve()))
        remove()
      },
    }
  } catch (error) {
    remove()
    throw error
  }
}

function settingsFor({
  tokens,
  thresholdPdus,
  minAgeMs,
}: {
  tokens: { ingest: string; admin: string }
  thresholdPdus: number
  minAgeMs: number
}): object {
  return {
    server_name: SERVER_NAME,
    signing_key_path: 'signing.key',
    data_dir: '.',
    database: 'embedded',
    queue: 'postgres',
    listen: { host: '127.0.0.1', port: 0 },
    tokens,
    federation: {
      custom_ca_paths: ['authority.pem'],
      ip_allowlist: ['127.0.0.0/8'],
      // So that an outage of seconds is what hours are elsewhere.
      backoff: { first_ms: 500, max_ms: 3000 },
      ramp_per_second: 10_000,
    },
    catch_up: { threshold_pdus: thresholdPdus, min_age_ms: minAgeMs },
    sweep_interval_ms: 1000,
    shutdown_grace_ms: 5000,
  }
}

async function ask(
  url: string,
  { token, type, ...request }: { token: string; method?: string; type?: string; body?: string },
): Promise<unknown> {
  const response = await fetch(url, {
    ...request,
    headers: { authorization: `Bearer ${token}`, ...(type === undefined ? {} : { 'content-type': type }) },
  })
  const text = await response.text()
  if (response.status !== 200) {
    throw new CommandError(
      `limpet answered ${response.status} to ${new URL(url).pathname}: ${text.slice(0, 300)}`,
    )
  }
  const json = response.headers.get('content-type')?.startsWith('application/json') === true
  return json ? (JSON.parse(text) as unknown) : text
}
