/**
 * Plain names: found by `.well-known`, by SRV and by neither, with real DNS, TLS and HTTP on loopback; and a delegation that moves under
 * traffic.
 */
import { expect } from 'chai'
import { mappedNetwork, type Network } from '../../src/daemon/open-outbound.ts'
import { systemClock } from '../../src/pace/clock.ts'
import { startDnsServer, type DnsServer } from '../../src/simulate/dns/server.ts'
import { startWellKnownServer, type WellKnownServer } from '../../src/simulate/names/well-known.ts'
import { until } from '../support/poll.ts'
import { runCommand } from '../cli/admin/run-command.ts'
import { loopbackAuthority, makeWorld, TOKENS, type World, type WorldOptions } from './world.ts'

const ROOM = '!road:home.example'
const HERE = { a: ['127.0.0.1'] }

describe('plain server names', () => {
  let dns: DnsServer
  let web: WellKnownServer
  let world: World
  let delegations: WellKnownServer['delegations']
  let asked: WellKnownServer['asked']
  let network: Network

  beforeEach(async () => {
    dns = await startDnsServer({ clock: systemClock })
    const { ca } = await loopbackAuthority()
    web = await startWellKnownServer(await ca.issue({ names: ['delegating.example', 'moving.example'] }))
    ;({ delegations, asked } = web)
    network = mappedNetwork({ https: web.port, matrix: 1, dns: dns.port })
  })
  afterEach(async () => {
    await world.stop()
    await web.stop()
    await dns.stop()
  })

  const begin = async (options: WorldOptions = {}) => {
    const federation = { dns_servers: [dns.name], ...(options.settings?.['federation'] as object) }
    world = await makeWorld({
      ...options,
      settings: { ...options.settings, federation },
      network: () => network,
    })
    return world
  }
  const read = (path: string) => world.request(path, { token: TOKENS.read })
  const discover = (name: string, ...options: string[]) =>
    runCommand('/', ['discover', name, ...options, '--url', world.address, '--token', TOKENS.admin])
  const tellRoom = (...set: string[]) => world.ingest([{ type: 'servers', room_id: ROOM, set }])

  it('are delivered to by .well-known, by SRV, and by address and port, each under its own Host header', async () => {
    await begin()
    const delegated = await world.remote({ name: 'delegating.example', certificate: ['hs.example'] })
    const byService = await world.remote({ name: 'service.example', certificate: ['service.example'] })
    const bare = await world.remote({ name: 'bare.example', certificate: ['bare.example'] })
    network = { ...network, ports: { ...network.ports, matrix: bare.port } }
    for (const name of ['delegating.example', 'hs.example', 'bare.example', 'srv-target.example'])
      dns.zone.set(name, HERE)
    const target = 'srv-target.example'
    // The first target is not there: the next is for that.
    dns.zone.set('_matrix-fed._tcp.service.example', {
      srv: [
        { priority: 1, port: 9, target },
        { priority: 2, port: byService.port, target },
      ],
    })
    delegations.set('delegating.example', { to: `hs.example:${delegated.port}`, maxAge: 3600 })
    await world.start()
    await tellRoom('delegating.example', 'service.example', 'bare.example')
    const { item, eventId } = world.event(ROOM)
    await world.ingest([item])
    for (const remote of [delegated, byService, bare]) {
      await until(() => Promise.resolve(remote.received.has(eventId)), {
        what: `the event at ${remote.serverName}`,
      })
      expect(remote.violations).to.deep.equal([])
    }
    expect([delegated.hosts, byService.hosts, bare.hosts]).to.deep.equal([
      [`hs.example:${delegated.port}`],
      ['service.example'],
      ['bare.example'],
    ])
    await world.quiet()
    const { rows } = await world.pool.query(
      'select key from discovered where answer is not null order by key',
    )
    expect(rows.map(({ key }: { key: string }) => key)).to.include.members([
      'srv _matrix-fed._tcp.service.example',
      'well-known delegating.example',
    ])
  })

  it('of which DNS says nothing hold no place: one that is found is not behind them, whoever came first', async () => {
    await begin({ settings: { federation: { max_concurrency: 4, recovering_concurrency: 4 } } })
    const bare = await world.remote({ name: 'bare.example', certificate: ['bare.example'] })
    network = { ...network, ports: { ...network.ports, matrix: bare.port } }
    const silent = Array.from({ length: 12 }, (_, n) => `silent${n}.example`)
    for (const name of silent) for (const one of [name, `*.${name}`]) dns.zone.set(one, { instead: 'silent' })
    dns.zone.set('bare.example', HERE)
    await world.start()
    await tellRoom(...silent)
    await world.ingest([world.event(ROOM).item])
    await until(() => Promise.resolve(silent.some((name) => dns.asked(name) > 0)), {
      what: 'the silent to be asked for',
    })
    await world.ingest([{ type: 'servers', room_id: '!other:home.example', set: ['bare.example'] }])
    const { item, eventId } = world.event('!other:home.example')
    await world.ingest([item])
    await until(() => Promise.resolve(bare.received.has(eventId)), { what: 'the event at bare.example' })
    const { rows } = await world.pool.query('select 1 from destinations where failures > 0')
    expect(rows).to.deep.equal([])
  })

  it('that lead where nothing may be connected to are not, and the reason is told', async () => {
    await begin()
    dns.zone.set('inside.example', { a: ['10.1.2.3'] })
    await world.start()
    await tellRoom('inside.example')
    await world.ingest([world.event(ROOM).item])
    const row = async () =>
      (
        await world.pool.query<{ text: string | null }>(
          `select last_error->>'message' as text from destinations where name = 'inside.example'`,
        )
      ).rows[0]?.text ?? null
    await until(async () => (await row()) !== null, { what: 'the failure' })
    expect(await row()).to.match(
      /^inside.example: no address may be connected to: 10.1.2.3 may not be connected to/,
    )
  })

  it('are explained by limpet discover: what was asked, what came, what is remembered, and what may not be connected to', async () => {
    await begin()
    for (const name of ['delegating.example', 'srv-target.example']) dns.zone.set(name, HERE)
    dns.zone.set('_matrix-fed._tcp.hs.example', {
      srv: [{ priority: 1, port: 9, target: 'srv-target.example' }],
    })
    dns.zone.set('inside.example', { a: ['10.1.2.3'] })
    delegations.set('delegating.example', { to: 'hs.example', maxAge: 7200 })
    await world.start()
    const first = await discover('delegating.example')
    expect([first.status, first.error]).to.deep.equal([0, ''])
    expect(first.out).to.match(/^delegating\.example is at 127\.0\.0\.1, port 9$/m)
    expect(first.out).to.match(/^Host header +hs\.example$/m)
    expect(first.out).to.match(/^found by step +3\.3$/m)
    expect(first.out).to.match(/^ +m\.server is hs\.example/m)
    expect(first.out).to.match(/^ +asked just now, which took [\d.]+ m?s; good for [12]h$/m)
    expect(first.out).to.match(
      /^ {2}3\.3 {2}SRV _matrix-fed\._tcp\.hs\.example\n +srv-target\.example port 9$/m,
    )
    for (const line of first.out.split('\n')) expect(line.length, line).to.be.at.most(100)
    expect((await discover('delegating.example')).out).to.match(/remembered, asked \d+s ago; good for [12]h/)
    expect(asked).to.deep.equal(['delegating.example'])
    expect((await discover('delegating.example', '--fresh')).out).to.match(/asked just now/)
    expect(asked).to.have.length(2)
    const inside = await discover('inside.example')
    expect(inside.out).to.match(/^inside\.example cannot be connected to: no address may be connected to/)
    expect(inside.out).to.match(/^ {4}refused: 10\.1\.2\.3 may not be connected to/m)
    const metrics = String((await world.request('/metrics')).body)
    expect(metrics).to.match(/^limpet_discovery_total\{outcome="well_known_found"\} 2$/m)
    expect(metrics).to.match(/^limpet_discovery_total\{outcome="srv_found"\} 2$/m)
  })

  it('on the deny list get nothing, and what they are owed stays', async () => {
    await begin({ settings: { federation: { domain_denylist: ['*.blocked.example'] } } })
    const remote = await world.remote({ name: 'a.blocked.example', certificate: ['a.blocked.example'] })
    const other = await world.remote({ name: 'blocked.example', certificate: ['blocked.example'] })
    for (const name of ['a.blocked.example', 'blocked.example']) {
      dns.zone.set(name, HERE)
      const { port } = name === 'blocked.example' ? other : remote
      dns.zone.set(`_matrix-fed._tcp.${name}`, { srv: [{ port, target: name }] })
    }
    const daemon = await world.start()
    await tellRoom('a.blocked.example', 'blocked.example')
    const { item, eventId } = world.event(ROOM)
    await world.ingest([item])
    await until(() => Promise.resolve(other.received.has(eventId)), { what: 'the event at the other' })
    await world.quiet()
    expect(remote.requests).to.equal(0)
    const why = '*.blocked.example is in federation.domain_denylist'
    const { body: seen } = await read('/v1/destinations/a.blocked.example')
    expect(seen).to.include({
      state: 'blocked',
      reason: `nothing is sent to it, because ${why}; owed: 1 PDU`,
    })
    const wake = await world.request('/v1/destinations/a.blocked.example/wake', {
      ...{ method: 'POST', token: TOKENS.admin },
    })
    expect(wake.status).to.equal(409)
    const { out } = await discover('a.blocked.example')
    expect(out).to.match(/^nothing is sent to a\.blocked\.example, because \*\.blocked\.example is in/)
    const asIfAsked = async () => String((await world.request('/metrics')).body)
    await until(async () => /^limpet_destinations\{state="blocked"\} 1$/m.test(await asIfAsked()), {
      what: 'the sweep to count it',
    })
    // A sweep has been, and more than one look at who is due.
    expect(remote.requests).to.equal(0)
    const { rows } = await world.pool.query(
      `select look_at, missed from destinations where name = 'a.blocked.example'`,
    )
    expect(rows).to.deep.equal([{ look_at: null, missed: 0 }])
    await daemon.stop()
    // Allowed again: it is still owed.
    const { config } = world
    await world.start(undefined, { ...config, federation: { ...config.federation, domain_denylist: [] } })
    await until(() => Promise.resolve(remote.received.has(eventId)), { what: 'the event at who was blocked' })
  })
})
