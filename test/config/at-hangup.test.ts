import { expect } from 'chai'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { z } from 'zod'
import { AT_HANGUP, changesBetween, withoutRestart } from '../../src/config/at-hangup.ts'
import { loadConfig, type Config } from '../../src/config/config.ts'
import { isSection, settingsSchema } from '../../src/config/schema.ts'
import { SECRETS } from '../../src/config/secrets.ts'

/** Every setting of the schema. A secret and the file that holds it are one. */
function settings(): string[] {
  const below = (schema: z.ZodObject, path: readonly string[]): string[] =>
    (Object.entries(schema.shape) as [string, z.ZodType][]).flatMap(([name, setting]) => {
      const inner = [...path, name]
      if (!isSection(inner)) return [inner.join('.')]
      return below((setting as unknown as { def: { innerType: z.ZodObject } }).def.innerType, inner)
    })
  return below(settingsSchema, []).filter(
    (key) => !(key.endsWith('_path') && SECRETS.includes(key.slice(0, -'_path'.length))),
  )
}

/** Another value than `BASE` has, for each of them. */
const OTHER: Readonly<Record<string, unknown>> = {
  server_name: 'b.example',
  signing_key_path: 'other.key',
  data_dir: 'other',
  database: 'postgres://u:p@h/other',
  auto_migrate: false,
  queue: 'redis://h',
  listen: { port: 1 },
  'tokens.ingest': 'other',
  'tokens.read': { one: 'r', two: 'r2' },
  'tokens.admin': { alice: 'a' },
  'metrics.token': 'other',
  'metrics.per_destination': true,
  'federation.domain_allowlist': [],
  'federation.domain_denylist': ['*.example.org'],
  'federation.ip_denylist': [],
  'federation.ip_allowlist': ['127.0.0.1'],
  'federation.dns_servers': ['127.0.0.2'],
  'federation.insecure_domains': ['*.test'],
  'federation.proxy': 'http://u:p@proxy:2',
  'federation.no_proxy': ['*.test'],
  'federation.custom_ca_paths': ['other.pem'],
  'federation.max_idle_connections': 1,
  'federation.max_concurrency': 600,
  'federation.recovering_concurrency': 1,
  'federation.ramp_per_second': 1,
  'federation.connect_timeout_ms': 1,
  'federation.request_timeout_ms': 1,
  'federation.backoff.first_ms': 1,
  'federation.backoff.multiplier': 1,
  'federation.backoff.max_ms': 9_000,
  'federation.backoff.jitter': 0,
  'federation.long_outage_ms': 1,
  'federation.dead_after_ms': 1,
  'federation.max_pdus': 1,
  'federation.max_edus': 1,
  'federation.max_body_bytes': 80_000,
  'federation.edus.presence': false,
  'federation.edus.typing': false,
  'federation.edus.receipts': false,
  'memory.bodies_bytes': 2_000_000,
  'catch_up.threshold_pdus': 1,
  'catch_up.min_age_ms': 1,
  'sticky.max_duration_ms': 1,
  'sticky.field_names': ['other'],
  'sticky.deadline_retries': false,
  'sticky.deadline_retry_min_ms': 1,
  sweep_interval_ms: 50,
  'retention.events_ms': 80_000_000,
  'retention.event_ids_ms': 1,
  'retention.attempts_ms': 1,
  'retention.newest_event_ms': 1,
  'retention.durable_edus_ms': 1,
  shutdown_grace_ms: 1,
  'log.level': 'warn',
  'log.pretty': true,
  'sources.synapse': { database: 'postgres://h/synapse' },
  'internal.lease_ms': 100,
  'internal.linger_ms': 1,
  'internal.probe_ms': 30_000,
  'internal.stalled_ms': 100,
}

/** Something of every kind. */
const BASE = {
  server_name: 'a.example',
  // Else it follows from two others.
  signing_key_path: 'key',
  database: 'postgres://u:p@h/d',
  listen: [
    { host: '::1', port: 2 },
    { socket: 'here.sock', mode: '0600' },
  ],
  tokens: { ingest: { one: 'i' }, read: { one: 'r' }, admin: 'a' },
  federation: {
    domain_allowlist: ['*.example.org'],
    ip_denylist: ['10.0.0.0/8'],
    dns_servers: ['127.0.0.1:53', '[::1]:53'],
    insecure_domains: ['*.example.net', '192.0.2.0/24'],
    proxy: 'http://u:p@proxy:1',
    no_proxy: ['*.example.net', '192.0.2.0/24'],
    custom_ca_paths: ['ca.pem'],
    recovering_concurrency: 2,
  },
}

describe('what a setting does at SIGHUP', () => {
  let dir: string
  before(() => (dir = mkdtempSync(join(tmpdir(), 'limpet-hangup-'))))
  after(() => rmSync(dir, { recursive: true }))
  const load = (other: Readonly<Record<string, unknown>> = {}): Config => {
    const tree = structuredClone(BASE) as Record<string, unknown>
    for (const [key, value] of Object.entries(other)) {
      const path = key.split('.')
      const name = path.pop() ?? ''
      let at = tree
      for (const section of path) at = (at[section] ??= {}) as Record<string, unknown>
      at[name] = value
    }
    writeFileSync(join(dir, 'limpet.yaml'), JSON.stringify(tree))
    return loadConfig({ file: join(dir, 'limpet.yaml'), env: {} })
  }
  const at = (config: Config, key: string) =>
    key.split('.').reduce<unknown>((of, name) => (of as Record<string, unknown> | null)?.[name], config)

  it('is said of every setting, and of nothing else', () => {
    expect(Object.keys(AT_HANGUP).sort()).to.deep.equal(settings().sort())
    expect(Object.keys(OTHER).sort(), 'those that are tried here').to.deep.equal(settings().sort())
  })

  it('is nothing where the file says the same', () => {
    expect(changesBetween(load(), load())).to.deep.equal({ applied: [], needs_restart: [] })
  })

  for (const [key, value] of Object.entries(OTHER)) {
    const applies = AT_HANGUP[key] === 'now'
    it(`${key}: ${applies ? 'it applies' : 'it is named, and stays as it was'}`, () => {
      const running = load()
      const next = load({ [key]: value })
      expect(changesBetween(running, next)).to.deep.equal({
        applied: applies ? [key] : [],
        needs_restart: applies ? [] : [key],
      })
      const mixed = withoutRestart(running, next)
      expect(at(mixed, key)).to.deep.equal(at(applies ? next : running, key))
      expect(mixed).to.deep.equal(applies ? next : running)
      // As it is as it was, it is named again the next time.
      expect(changesBetween(mixed, next).needs_restart).to.deep.equal(applies ? [] : [key])
    })
  }

  it('is told apart where much changes at once', () => {
    const running = load()
    const next = load(OTHER)
    const mixed = withoutRestart(running, next)
    for (const [key, does] of Object.entries(AT_HANGUP))
      expect(at(mixed, key), key).to.deep.equal(at(does === 'now' ? next : running, key))
    expect(mixed.file).to.equal(running.file)
  })
})
