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
import { mappedNetwork, type Network } from '../../daemon/open-outbound.ts'
import { generateKey } from '../../matrix/signing.ts'
import type { SigningKey } from '../../matrix/signing.ts'
import { makeLog } from '../../observe/log.ts'
import { CommandError } from '../cli-error.ts'

export interface DemoOptions {
  /** What stands for the ports of the public network, and the DNS server, as `ADDRESS:PORT`. */
  readonly ports: Network['ports']
  readonly dnsServer: string
  /** PEM of the authority that signed the fleet's certificates. */
  readonly authority: string
  readonly thresholdPdus: number
  readonly minAgeMs: number
  readonly keep: boolean
}

export interface Demo {
  readonly dir: string
  /** The configuration that commands need to ask it. */
  readonly file: string
  /** Where it listens. */
  readonly url: string
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

export async function startDemo(options: DemoOptions): Promise<Demo> {
  const { authority, keep } = options
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
    const write = (port: number) =>
      writeFileSync(file, stringify(settingsFor(options, { tokens, port })), { mode: 0o600 })
    write(0)
    const config = loadConfig({ file, env: {} })
    const stream = createWriteStream(join(dir, 'limpet.log'))
    const log = makeLog({ level: 'info', pretty: false, stream })
    const daemon = await startDaemon({
      config,
      roles: ['ingest', 'deliver', 'housekeep'],
      listen: config.listen,
      log,
      network: mappedNetwork(options.ports),
    })
    const base = daemon.addresses[0] ?? ''
    // So that `limpet discover --config FILE` finds it, and every other command that asks a daemon.
    write(Number(new URL(base).port))
    return {
      ...{ dir, file, key, url: base, serverName: SERVER_NAME, failed: daemon.done },
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

function settingsFor(
  { dnsServer, thresholdPdus, minAgeMs }: DemoOptions,
  { tokens, port }: { tokens: { ingest: string; admin: string }; port: number },
): object {
  return {
    server_name: SERVER_NAME,
    signing_key_path: 'signing.key',
    data_dir: '.',
    database: 'embedded',
    queue: 'postgres',
    listen: { host: '127.0.0.1', port },
    tokens,
    federation: {
      custom_ca_paths: ['authority.pem'],
      ip_allowlist: ['127.0.0.0/8'],
      dns_servers: [dnsServer],
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
