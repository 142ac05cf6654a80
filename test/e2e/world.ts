/**
 * A whole daemon in this process, strict remotes over TLS, and a homeserver's side to feed it: what an
 * end-to-end test needs, in a few verbs.
 */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../src/pace/clock.ts'
import { loadConfig, type Config } from '../../src/config/config.ts'
import { startDaemon, type Daemon, type Role } from '../../src/daemon/daemon.ts'
import type { Network } from '../../src/daemon/open-outbound.ts'
import { makePdu } from '../../src/matrix/make-pdu.ts'
import { readSigningKey, generateKey, type SigningKey } from '../../src/matrix/signing.ts'
import { makeLog } from '../../src/observe/log.ts'
import {
  makeCertificateAuthority,
  type CertificateAuthority,
  type KeyPair,
} from '../../src/simulate/fleet/certs.ts'
import { startFakeHomeserver, type FakeHomeserver } from '../../src/simulate/fleet/fake-homeserver.ts'
import { openPool } from '../../src/store/db.ts'
import { until } from '../support/poll.ts'
import { freshDatabase } from '../support/postgres.ts'
import { letTimePass } from '../support/time-passes.ts'

export const OURS = 'home.example'
export const TOKENS = { ingest: 'ingest-token', read: 'read-token', admin: 'admin-token' }

/**
 * Settings for tests that count requests, or want nothing brought back by a lease that ran out: a busy machine stalls
 * for longer than the short lease that is usual here, and what is under way then is given up and sent again.
 */
export const PATIENT = { internal: { lease_ms: 30_000 }, shutdown_grace_ms: 30_000 }

export interface WorldOptions {
  /** Settings over the test's own, as in the configuration file. */
  settings?: Record<string, unknown>
  databaseUrl?: string
  log?: 'silent' | 'debug'
  /** Asked when a daemon starts. Default: the public one. */
  network?: () => Network
}

export interface RemoteOptions {
  /** What it is called; default `127.0.0.1:PORT`. */
  name?: string
  /** The names of its certificate; default: loopback's. */
  certificate?: string[]
  host?: string
}

export interface SentEvent {
  eventId: string
  item: Record<string, unknown>
}

export type World = Awaited<ReturnType<typeof makeWorld>>

let authority: Promise<{ ca: CertificateAuthority; tls: KeyPair }> | undefined

/** One authority for the whole run: making it costs more than a test. */
export function loopbackAuthority(): Promise<{ ca: CertificateAuthority; tls: KeyPair }> {
  authority ??= (async () => {
    const ca = await makeCertificateAuthority(Date.now())
    return { ca, tls: await ca.issue() }
  })()
  return authority
}

export async function makeWorld({
  settings = {},
  databaseUrl,
  log: level = 'silent',
  network,
}: WorldOptions = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'limpet-e2e-'))
  const url = databaseUrl ?? (await freshDatabase()).url
  const { ca, tls } = await loopbackAuthority()
  const { fileText } = generateKey(randomBytes)
  const key = readSigningKey(fileText)
  writeFileSync(join(dir, 'key'), fileText, { mode: 0o600 })
  writeFileSync(join(dir, 'ca.pem'), ca.cert)
  const file = join(dir, 'limpet.yaml')
  writeFileSync(file, JSON.stringify(merge(defaults(url), settings)))
  const config = loadConfig({ file, env: {} })
  const log = makeLog({ level, pretty: false })
  const pool = openPool({ url, max: 4 })
  const daemons = new Set<Daemon>()
  const remotes: FakeHomeserver[] = []
  let address = ''

  return {
    dir,
    file,
    config,
    pool,
    key,
    databaseUrl: url,
    get address() {
      return address
    },
    /** Starts a daemon in this process; several may run on one database. */
    async start(roles: readonly Role[] = ['ingest', 'deliver', 'housekeep'], over?: Config): Promise<Daemon> {
      const used = over ?? config
      const daemon = await startDaemon({
        ...{ config: used, roles, listen: used.listen, log },
        ...(network === undefined ? {} : { network: network() }),
      })
      daemons.add(daemon)
      if (roles.includes('ingest')) address = daemon.addresses[0] ?? address
      return { ...daemon, stop: () => (daemons.delete(daemon), daemon.stop()) }
    },
    /** A strict remote homeserver. */
    async remote({ certificate, ...more }: RemoteOptions = {}): Promise<FakeHomeserver> {
      const remote = await startFakeHomeserver({
        ...more,
        tls: certificate === undefined ? tls : await ca.issue({ names: certificate }),
        origin: OURS,
        verifyKey: (id) => (id === key.keyId ? key.publicKey : null),
        clock: systemClock,
      })
      remotes.push(remote)
      return remote
    },
    /** Resolves when no turn is under way; something may be unanswered. */
    async released(): Promise<void> {
      const held = 'select from destinations where lease_owner is not null'
      await until(async () => (await pool.query(held)).rowCount === 0, { what: 'every turn to end' })
    },
    /** Resolves when no turn is under way and nothing is unanswered: what was sent is written down. */
    async quiet(): Promise<void> {
      const busy =
        'select from destinations d left join open_transactions o on o.destination = d.id where d.lease_owner is not null or o.destination is not null'
      await until(async () => (await pool.query(busy)).rowCount === 0, { what: 'every turn to end' })
    },
    /** Sets how far the database's clock is ahead, ms. */
    async moveClock(byMs: number): Promise<void> {
      await pool.query(
        `insert into settings (key, value) values ('clock_offset_ms', $1)
         on conflict (key) do update set value = (settings.value::bigint + $1::bigint)::text`,
        [String(byMs)],
      )
    },
    /** As if so much time had passed while the daemon ran, ms. */
    timePasses: (ms: number) => letTimePass(pool, ms),
    request: (path: string, options: RequestInit & { token?: string } = {}) =>
      request(address, path, options),
    /** POSTs items and returns the answer's body; throws unless it is a 200. */
    async ingest(items: readonly unknown[], more: Record<string, unknown> = {}): Promise<Taken> {
      const answer = await request(address, '/v1/ingest', {
        method: 'POST',
        token: TOKENS.ingest,
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ items, ...more }),
      })
      if (answer.status !== 200)
        throw new Error(`ingest answered ${answer.status}: ${JSON.stringify(answer.body)}`)
      return answer.body as Taken
    },
    event: (room: string, options: EventOptions = {}) => makeEvent(key, room, options),
    async stop(): Promise<void> {
      await Promise.all([...daemons].map((daemon) => daemon.stop()))
      await Promise.all(remotes.map((remote) => remote.stop()))
      await pool.end()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

export interface Taken {
  position: number
  accepted: number
  duplicates: number
  ignored: { index: number; value: string }[]
  unknown_rooms: string[]
}

export interface EventOptions {
  stickyMs?: number
  body?: string
  sender?: string
  originServerTs?: number
  /** Beside the event: `to`, `also_to`, `not_to`, `sticky`. */
  item?: Record<string, unknown>
}

let count = 0

export function makeEvent(key: SigningKey, room: string, options: EventOptions = {}): SentEvent {
  const {
    stickyMs,
    sender = `@alice:${OURS}`,
    originServerTs = Date.now(),
    body = `message ${(count += 1)}`,
  } = options
  const { eventId, pdu } = makePdu(
    {
      roomId: room,
      type: 'm.room.message',
      sender,
      originServerTs,
      content: { msgtype: 'm.text', body },
      depth: (count += 1),
      ...(stickyMs === undefined ? {} : { more: { msc4354_sticky: { duration_ms: stickyMs } } }),
    },
    key,
    '10',
  )
  return {
    eventId,
    item: { type: 'event', room_id: room, room_version: '10', event_id: eventId, pdu, ...options.item },
  }
}

async function request(
  address: string,
  path: string,
  { token, headers, ...options }: RequestInit & { token?: string },
) {
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` }
  const response = await fetch(`${address}${path}`, {
    ...options,
    headers: { ...(headers as Record<string, string>), ...authorization },
  })
  const text = await response.text()
  let body: unknown = text
  try {
    body = JSON.parse(text)
  } catch {
    // Not JSON: /metrics, or a fault the test wants to see as it is.
  }
  return { status: response.status, body, headers: response.headers }
}

function defaults(url: string): Record<string, unknown> {
  return {
    server_name: OURS,
    signing_key_path: 'key',
    database: url,
    listen: { host: '127.0.0.1', port: 0 },
    tokens: TOKENS,
    federation: {
      custom_ca_paths: ['ca.pem'],
      ip_allowlist: ['127.0.0.0/8'],
      // Nothing listens there: no test asks anybody outside.
      dns_servers: ['127.0.0.1:9'],
      backoff: { first_ms: 200, max_ms: 2000 },
      max_concurrency: 64,
      ramp_per_second: 10_000,
    },
    sweep_interval_ms: 1000,
    shutdown_grace_ms: 5000,
    internal: { lease_ms: 3000, linger_ms: 50 },
  }
}

function merge(base: Record<string, unknown>, over: Record<string, unknown>): Record<string, unknown> {
  const merged = { ...base }
  for (const [key, value] of Object.entries(over)) {
    const known = merged[key]
    const both = isObject(known) && isObject(value)
    merged[key] = both ? merge(known, value) : value
  }
  return merged
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
