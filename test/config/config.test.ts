import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getHeapStatistics } from 'node:v8'
import { expect } from 'chai'
import { maskedConfig } from '../../src/config/mask.ts'
import { ConfigError, loadConfig } from '../../src/config/config.ts'
import type { Config } from '../../src/config/config.ts'

describe('the configuration', () => {
  let dir: string
  before(() => (dir = mkdtempSync(join(tmpdir(), 'limpet-config-'))))
  after(() => rmSync(dir, { recursive: true, force: true }))

  const load = (yaml: string, env: Record<string, string> = {}): Config => {
    const file = join(dir, 'limpet.yaml')
    writeFileSync(file, yaml)
    return loadConfig({ file, env, cwd: '/' })
  }
  const complaint = (yaml: string, env: Record<string, string> = {}): string => {
    try {
      load(yaml, env)
    } catch (error) {
      expect(error).to.be.instanceOf(ConfigError)
      return (error as ConfigError).message
    }
    throw new Error(`was taken: ${yaml}`)
  }
  const ours = (more: string) => `server_name: a.example\n${more}\n`

  // A timer of 2^31 ms fires at once.
  const timers = [
    ...[
      'sweep_interval_ms',
      'shutdown_grace_ms',
      'federation.connect_timeout_ms',
      'federation.request_timeout_ms',
    ],
    ...['federation.backoff.first_ms', 'federation.backoff.max_ms', 'sticky.max_duration_ms'],
    ...['internal.lease_ms', 'internal.linger_ms', 'internal.stalled_ms'],
  ]
  for (const key of timers) {
    it(`takes no ${key} that is longer than a timer can be`, () => {
      const nested = key.split('.').reduceRight((value, name) => `{${name}: ${value}}`, String(2 ** 31))
      expect(complaint(`{server_name: a.example, ${nested.slice(1, -1)}}`)).to.include(key)
    })
  }

  it('takes ages that no timer could have: what is only compared with', () => {
    const long = 400 * 86_400_000
    const keys = ['events_ms', 'event_ids_ms', 'attempts_ms', 'newest_event_ms', 'durable_edus_ms']
    const retention = Object.fromEntries(keys.map((key) => [key, long]))
    const config = load(ours(`retention: ${JSON.stringify(retention)}\ncatch_up: {min_age_ms: ${long}}`))
    expect(config.retention).to.deep.equal(retention)
    expect(config.catch_up.min_age_ms).to.equal(long)
  })

  it('needs nothing but a server name', () => {
    const config = load('server_name: a.example')
    expect(config.database).to.deep.equal({ kind: 'embedded' })
    expect(config.queue).to.deep.equal({ kind: 'postgres' })
    expect(config.listen).to.deep.equal([
      { host: '127.0.0.1', port: 8469, serve: ['ingest', 'admin', 'metrics'] },
    ])
    expect(config.federation).to.include({
      max_pdus: 50,
      max_edus: 100,
      max_body_bytes: 4_194_304,
      max_concurrency: 512,
      recovering_concurrency: 256,
      ramp_per_second: 50,
      connect_timeout_ms: 10_000,
      request_timeout_ms: 60_000,
      max_idle_connections: 1000,
    })
    expect(config.federation.edus).to.deep.equal({ presence: true, typing: true, receipts: true })
    expect(config.federation.backoff).to.deep.equal({
      first_ms: 5000,
      multiplier: 2,
      max_ms: 28_800_000,
      jitter: 0.2,
    })
    const { heap_size_limit } = getHeapStatistics()
    expect(config.memory).to.deep.equal({ bodies_bytes: Math.floor(heap_size_limit / 4) })
    expect(config.catch_up).to.deep.equal({ threshold_pdus: 500, min_age_ms: 300_000 })
    expect(config.sticky).to.deep.equal({
      max_duration_ms: 3_600_000,
      field_names: ['msc4354_sticky', 'sticky'],
      deadline_retries: true,
      deadline_retry_min_ms: 30_000,
    })
    expect(config.retention).to.deep.equal({
      events_ms: 604_800_000,
      event_ids_ms: 30 * 86_400_000,
      attempts_ms: 86_400_000,
      newest_event_ms: 90 * 86_400_000,
      durable_edus_ms: 30 * 86_400_000,
    })
    expect(config.tokens).to.deep.equal({ ingest: [], read: [], admin: [] })
  })

  it("starts relative paths at the file's folder, wherever it is called from", () => {
    const config = load(ours('federation: {custom_ca_paths: [ca.pem]}'))
    expect(config.data_dir).to.equal(join(dir, 'limpet-data'))
    expect(config.signing_key_path).to.equal(join(dir, 'limpet-data', 'a.example.signing.key'))
    expect(config.federation.custom_ca_paths).to.deep.equal([join(dir, 'ca.pem')])
  })

  it('takes one listener or several, and Unix sockets with their mode', () => {
    expect(load(ours('listen: {port: 1}')).listen).to.have.length(1)
    const two = load(
      ours('listen: [{host: "::1", port: 1, serve: [metrics]}, {socket: s, mode: "0600"}]'),
    ).listen
    expect(two).to.deep.equal([
      { host: '::1', port: 1, serve: ['metrics'] },
      { socket: join(dir, 's'), mode: 0o600, serve: ['ingest', 'admin', 'metrics'] },
    ])
  })

  it('takes one token of a kind or several with names', () => {
    const { tokens } = load(ours('tokens: {ingest: abc, admin: {ann: a1, bob: b2}}'))
    expect(tokens.ingest).to.deep.equal([{ name: 'ingest', token: 'abc' }])
    expect(tokens.admin.map(({ name }) => name)).to.deep.equal(['ann', 'bob'])
  })

  it('takes the addresses of a Redis Cluster', () => {
    const { queue } = load(ours('queue: "redis://a:1, rediss://b:2"'))
    expect(queue).to.deep.equal({ kind: 'redis', urls: ['redis://a:1', 'rediss://b:2'] })
  })

  it('lets a section be empty, and a file too when the environment says the rest', () => {
    expect(load(ours('federation:\nsticky:')).federation.max_pdus).to.equal(50)
    expect(load('', { LIMPET_SERVER_NAME: 'b.example' }).server_name).to.equal('b.example')
  })

  const refused: [why: string, yaml: string, message: RegExp][] = [
    ['a missing server name', '', /^server_name: is missing$/],
    ['a bad server name', 'server_name: "a b"', /^server_name: "a b" is not a valid server name$/],
    ['an unknown key', ours('frobnicate: 1'), /^frobnicate: unknown setting$/],
    [
      'an unknown key further in',
      ours('federation: {max_pduss: 1}'),
      /^federation\.max_pduss: unknown setting/,
    ],
    ['a number that should be text', 'server_name: 5', /^server_name: must be text$/],
    [
      'text that should be a number',
      ours('sweep_interval_ms: soon'),
      /^sweep_interval_ms: must be a number$/,
    ],
    [
      'text that should be true or false',
      ours('auto_migrate: "no"'),
      /^auto_migrate: must be true or false$/,
    ],
    [
      'half a PDU',
      ours('catch_up: {threshold_pdus: 1.5}'),
      /^catch_up\.threshold_pdus: must be a whole number$/,
    ],
    ['a list that should be a section', ours('sticky: [1]'), /^sticky: must be a section/],
    [
      'more PDUs than the specification allows',
      ours('federation: {max_pdus: 51}'),
      /^federation\.max_pdus: must be at most 50$/,
    ],
    [
      'more EDUs than the specification allows',
      ours('federation: {max_edus: 101}'),
      /^federation\.max_edus: must be at most 100$/,
    ],
    [
      'no EDUs by their number, as what waits of them would never go',
      ours('federation: {max_edus: 0}'),
      /^federation\.max_edus: must be at least 1$/,
    ],
    [
      'a kind of EDUs that can not be switched off',
      ours('federation: {edus: {to_device: false}}'),
      /^federation\.edus\.to_device: unknown/,
    ],
    [
      'a longer stickiness than the MSC allows',
      ours('sticky: {max_duration_ms: 3600001}'),
      /^sticky\.max_duration_ms: must be at most 3600000$/,
    ],
    [
      'a log that ends before stickiness does',
      ours('retention: {events_ms: 7199999}'),
      /^retention\.events_ms: must be at least 2 x sticky\.max_duration_ms, which is 7200000$/,
    ],
    [
      'more recovering requests than requests',
      ours('federation: {max_concurrency: 10, recovering_concurrency: 11}'),
      /^federation\.recovering_concurrency: must be at most/,
    ],
    [
      'less memory than two halves need for the largest PDU',
      ours('memory: {bodies_bytes: 999999}'),
      /^memory\.bodies_bytes: must be at least 1000000$/,
    ],
    [
      'a first wait above the longest',
      ours('federation: {backoff: {first_ms: 10, max_ms: 9}}'),
      /^federation\.backoff\.first_ms: must be at most/,
    ],
    [
      'jitter of all',
      ours('federation: {backoff: {jitter: 1}}'),
      /^federation\.backoff\.jitter: must be at most 0.99$/,
    ],
    [
      'a database of another kind',
      ours('database: mysql://x'),
      /^database: must be `embedded` or a postgres:\/\/ URL$/,
    ],
    ['a queue of another kind', ours('queue: kafka'), /^queue: must be `postgres` or a redis:/],
    ['no listener', ours('listen: []'), /^listen: must not be empty$/],
    ['a port that there is not', ours('listen: {port: 65536}'), /^listen\.port: must be at most 65535$/],
    [
      'the second listener being wrong',
      ours('listen: [{port: 1}, {port: -1}]'),
      /^listen\.1\.port: must be at least 0$/,
    ],
    ['a socket with a port', ours('listen: {socket: x, port: 1}'), /^listen: must be either/],
    [
      'a mode without quotes',
      ours('listen: {socket: x, mode: 0660}'),
      /^listen\.mode: must be text, such as "0660" in quotes$/,
    ],
    [
      'the same place twice',
      ours('listen: [{port: 1}, {port: 1}]'),
      /^listen: 127\.0\.0\.1:1 is listed twice$/,
    ],
    [
      'something else to serve',
      ours('listen: {serve: [cake]}'),
      /^listen\.serve\.0: must be one of ingest, admin, metrics$/,
    ],
    ['a token with a space', ours('tokens: {read: "a b"}'), /^tokens\.read: must be a bearer token/],
    ['no token in the map', ours('tokens: {read: {}}'), /^tokens\.read: must not be empty$/],
    [
      'one token for two kinds',
      ours('tokens: {ingest: abc, admin: abc}'),
      /^tokens\.admin: admin: the same token is also listed under tokens\.ingest$/,
    ],
    ['a key without a value', ours('database:'), /^database: has no value; leave the key out/],
    [
      'half a Synapse source',
      ours('sources: {synapse: {redis: "redis://x"}}'),
      /^sources\.synapse\.database: is missing$/,
    ],
    [
      'a range that is none',
      ours('federation: {ip_denylist: [10.0.0.0/33]}'),
      /^federation\.ip_denylist\.0: must be an IP address or a range/,
    ],
    ['a log level that there is not', ours('log: {level: loud}'), /^log\.level: must be one of fatal, error/],
    [
      'a body that no PDU fits into',
      ours('federation: {max_body_bytes: 69999}'),
      /^federation\.max_body_bytes: must be at least 70000$/,
    ],
    ['the same key twice', ours('server_name: b'), /Map keys must be unique at line 2/],
    ['broken YAML', 'a: [', /limpet\.yaml: /],
    ['a list in place of settings', '- a', /limpet\.yaml: must be a map of settings$/],
  ]
  for (const [why, yaml, message] of refused) {
    it(`refuses ${why} in one line that names the key`, () => {
      const said = complaint(yaml)
      expect(said).to.match(message)
      expect(said).not.to.include('\n')
    })
  }

  it('says that federation.contact comes in a later release', () => {
    expect(complaint(ours('federation: {contact: 1}'))).to.equal(
      'federation.contact: comes in a later release; leave it out',
    )
  })

  it('reads the lists of names and addresses, DNS servers and the proxy, which is a secret', () => {
    const { federation } = load(
      ours(`federation:
  ip_denylist: [10.0.0.0/8]
  ip_allowlist: ["::1"]
  domain_allowlist: ["*.example.org"]
  insecure_domains: [test.example, 192.0.2.0/24]
  dns_servers: [192.0.2.53, "[2001:db8::53]:5353"]
  proxy: http://me:pass%40word@proxy.example:3128
  no_proxy: [.example.net, 10.0.0.0/8]`),
    )
    expect(federation).to.deep.include({
      ip_denylist: ['10.0.0.0/8'],
      ip_allowlist: ['::1'],
      domain_allowlist: ['*.example.org'],
      domain_denylist: [],
      insecure_domains: ['test.example', '192.0.2.0/24'],
      dns_servers: [
        { address: '192.0.2.53', port: null },
        { address: '2001:db8::53', port: 5353 },
      ],
      no_proxy: ['.example.net', '10.0.0.0/8'],
    })
    expect(federation.proxy).to.include({ host: 'proxy.example', port: 3128, label: 'proxy.example:3128' })
  })

  for (const [setting, complaintOf] of [
    ['domain_denylist: ["a b"]', /^federation\.domain_denylist\.0: /],
    ['insecure_domains: ["10.0.0.0/33"]', /^federation\.insecure_domains\.0: /],
    ['no_proxy: ["http://x"]', /^federation\.no_proxy\.0: /],
    ['dns_servers: [dns.example]', /^federation\.dns_servers\.0: must be the IP address of a DNS server/],
    ['dns_servers: []', /^federation\.dns_servers: /],
    ['proxy: "ftp://me:topsecret@proxy.example"', /^federation\.proxy: a proxy is an http/],
  ] as const) {
    it(`refuses federation.${setting}, and repeats no password`, () => {
      const text = complaint(ours(`federation: {${setting}}`))
      expect(text).to.match(complaintOf)
      expect(text).not.to.contain('topsecret')
    })
  }

  it('says which file is missing when one was asked for', () => {
    expect(() => loadConfig({ file: join(dir, 'none.yaml'), env: {} })).to.throw(
      ConfigError,
      'none.yaml does not exist',
    )
  })

  it('does without a file where none was asked for', () => {
    const empty = mkdtempSync(join(dir, 'empty-'))
    expect(() => loadConfig({ env: {}, cwd: empty })).to.throw(
      ConfigError,
      `server_name: is missing, and there is no limpet.yaml in ${empty}: create one`,
    )
    const config = loadConfig({ env: { LIMPET_SERVER_NAME: 'a.example' }, cwd: empty })
    expect(config.file).to.equal(null)
    expect(config.data_dir).to.equal(join(empty, 'limpet-data'))
  })

  it('follows a Synapse without its Redis', () => {
    const config = load(ours('sources: {synapse: {database: "postgres://u:p@h/s"}}'))
    expect(config.sources.synapse).to.include({ redis: null, instance_name: 'limpet' })
    expect(JSON.stringify(maskedConfig(config))).to.include('"redis":null')
  })

  it('shows its effective values without a secret', () => {
    const config = load(
      ours(`
database: postgres://u:hidden1@h/d?sslpassword=hidden2
queue: redis://:hidden3@h
tokens: {ingest: hidden4, admin: {ann: hidden5}}
metrics: {token: hidden6}
sources: {synapse: {database: "postgres://u:hidden7@h/s", redis: "redis://:hidden8@h"}}`),
    )
    const shown = JSON.stringify(maskedConfig(config))
    expect(shown).not.to.include('hidden')
    expect(shown).to.include('ann').and.to.include('postgres://u:***@h/d')
  })
})
