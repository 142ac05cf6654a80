import { expect } from 'chai'
import { makeDiscovery } from '../../src/discovery/discovery.ts'
import type { Discovered, Discovery, DiscoveryNeeds } from '../../src/discovery/discovery.ts'
import type { AddressRecord, LookedUp, ServiceRecord } from '../../src/discovery/lookups.ts'
import { routeKey } from '../../src/discovery/resolve.ts'
import { makeSharedInMemory } from './shared-in-memory.ts'
import { parseServerName } from '../../src/matrix/ids.ts'
import { until } from '../support/poll.ts'
import { movableClock, testDial, vetForTests } from './check-case.ts'
import { ADDRESSES, useLoopback } from './loopback.ts'

const name = (text: string) => parseServerName(text)!
const HOUR = 3_600_000

describe('discovery as a whole', () => {
  const loopback = useLoopback()
  let stops: AbortController[] = []
  afterEach(() => {
    for (const stop of stops) stop.abort()
    stops = []
  })

  interface World {
    address: string
    srv: LookedUp<ServiceRecord>
    delegate: string | null
  }

  /** Processes in one world, which the test changes, and what they asked it. */
  function aWorld() {
    const clock = movableClock()
    const table = makeSharedInMemory(() => clock.monotonic())
    const world: World = {
      ...{ address: ADDRESSES.serves, srv: { kind: 'none', ttlMs: HOUR }, delegate: null },
    }
    const asked = { srv: [] as string[], addresses: [] as string[], web: [] as string[] }
    loopback().serve((request, response) => {
      asked.web.push(request.headers.host ?? '')
      if (world.delegate === null) response.writeHead(404).end()
      else response.end(JSON.stringify({ 'm.server': world.delegate }))
    })

    function start(process: string, needs: Partial<DiscoveryNeeds> = {}): Discovery {
      const stop = new AbortController()
      stops.push(stop)
      return makeDiscovery({
        lookUpServices: (service) => {
          asked.srv.push(service)
          return Promise.resolve(world.srv)
        },
        lookUpHost: (host): Promise<LookedUp<AddressRecord>> => {
          asked.addresses.push(host)
          return Promise.resolve({ kind: 'found', records: [{ address: world.address }], ttlMs: HOUR })
        },
        vet: vetForTests,
        proxyFor: () => null,
        dial: testDial(loopback(), clock),
        shared: table(process),
        ports: { https: loopback().httpsPort, matrix: 8448 },
        ...{ userAgent: 'limpet/0.0.0', clock, random: () => 0.5, signal: stop.signal },
        onTrouble: fail,
        onBug: fail,
        ...needs,
      })
    }
    return { clock, world, asked, start }
  }

  const where = (discovered: Discovered) =>
    discovered.kind === 'failed'
      ? discovered.message
      : discovered.targets
          .map(({ addresses, port, hostHeader }) => `${addresses.join()} ${port} ${hostHeader}`)
          .join()

  it('leads to addresses, and shares among processes what every one of them would hear', async () => {
    const { start, asked, world } = aWorld()
    world.delegate = 'b.example'
    const [one, other] = [start('one'), start('other')]
    const all = await Promise.all(
      [one, other, one, other].map((process) => process.discover(name('a.example'))),
    )
    for (const discovered of all) expect(where(discovered)).to.equal('127.0.0.1 8448 b.example')
    expect(asked.web).to.deep.equal(['a.example'])
    expect(asked.srv).to.deep.equal(['_matrix-fed._tcp.b.example', '_matrix._tcp.b.example'])
    // Addresses are each process' own: one of them asked for that of the web server.
    expect(asked.addresses.toSorted()).to.deep.equal(['a.example', 'b.example', 'b.example'])
    expect(one.counts()).to.deep.equal({
      wellKnown: { remembered: 1, inFlight: 0 },
      services: { remembered: 2, inFlight: 0 },
      addresses: { remembered: one.counts().addresses.remembered, inFlight: 0 },
    })
  })

  it('notices a delegation that moves, and says so by another route', async () => {
    const { start, world, clock } = aWorld()
    world.delegate = 'b.example:1'
    const one = start('one')
    const before = await one.discover(name('a.example'))
    world.delegate = 'c.example:2'
    expect(where(await one.discover(name('a.example')))).to.equal('127.0.0.1 1 b.example:1')
    expect(before.kind === 'found' && before.leftMs).to.be.closeTo(24 * HOUR, 5000)
    clock.move(24 * HOUR + 1)
    const after = await one.discover(name('a.example'))
    expect(where(after)).to.equal('127.0.0.1 2 c.example:2')
    expect(routeKey(after.route!)).to.not.equal(routeKey(before.route!))
  })

  it('says for how long the answers hold when it tells them, however long the lookups after them took', async () => {
    const { start, world, clock } = aWorld()
    world.delegate = 'b.example:1'
    let slowMs = 0
    const one = start('one', {
      lookUpHost: () => {
        clock.move(slowMs)
        return Promise.resolve({ kind: 'found', records: [{ address: ADDRESSES.serves }], ttlMs: 1 })
      },
    })
    await one.discover(name('a.example'))
    clock.move(HOUR)
    slowMs = 10 * 60_000
    const found = await one.discover(name('a.example'))
    expect(found.kind === 'found' && found.leftMs).to.be.closeTo((24 - 1 - 1 / 6) * HOUR, 5000)
  })

  it('waits for a silent port 443 once', async () => {
    const { start, world, clock } = aWorld()
    world.address = ADDRESSES.silent
    const one = start('one', { limits: { wellKnownMs: 500, patienceMs: 50 } })
    const first = performance.now()
    expect(where(await one.discover(name('a.example')))).to.equal('127.0.0.2 8448 a.example')
    expect(performance.now() - first).to.be.above(450)
    for (let i = 0; i < 3; i++) {
      clock.move(HOUR)
      const { steps } = await one.discover(name('a.example'))
      expect(steps[0]?.cache?.state).to.equal('stale')
      // It is still being asked: what was told was not waited for.
      expect(one.counts().wellKnown.inFlight).to.equal(1)
      await until(() => one.counts().wellKnown.inFlight === 0, { what: 'the lookup to end' })
    }
  })

  it('asks everything again if that is wanted', async () => {
    const { start, world, asked } = aWorld()
    world.delegate = 'b.example'
    const one = start('one')
    await one.discover(name('a.example'))
    world.delegate = 'c.example'
    expect(where(await one.discover(name('a.example'), { anew: true }))).to.equal('127.0.0.1 8448 c.example')
    expect(asked.web).to.have.length(2)
  })

  it('reaches .well-known by another way if it is given one, and looks nothing up for it', async () => {
    const { start, asked } = aWorld()
    const ways: string[] = []
    const proxied = start('one', {
      connectTo: (host, port) => {
        ways.push(`${host.name} ${port}`)
        return Promise.resolve({ kind: 'failed', stage: 'connect', message: 'the proxy says no' })
      },
    })
    const { steps } = await proxied.discover(name('a.example'))
    expect(ways).to.deep.equal([`a.example ${loopback().httpsPort}`])
    expect(steps[0]?.outcome).to.equal('the proxy says no')
    expect(asked.addresses).to.deep.equal(['a.example'])
  })

  it('leaves no memory behind of 2,000 names', async () => {
    const { start } = aWorld()
    const one = start('one', {
      connectTo: () =>
        Promise.resolve({ kind: 'failed', stage: 'connect', message: 'nothing listens there' }),
      shared: null,
      limits: { most: 50 },
    })
    for (let i = 0; i < 2000; i += 100) {
      await Promise.all(Array.from({ length: 100 }, (_, j) => one.discover(name(`h${i + j}.example`))))
    }
    const bounded = { remembered: 50, inFlight: 0 }
    const two = { remembered: 100, inFlight: 0 }
    expect(one.counts()).to.deep.equal({ wellKnown: bounded, services: two, addresses: bounded })
  })

  it('tells of each lookup that it makes, once for however many wait, and of none that is remembered or shared', async () => {
    const { world, start } = aWorld()
    const [one, other]: [string[], string[]] = [[], []]
    world.delegate = 'hs.example'
    const first = start('one', { onLookup: (outcome) => one.push(outcome) })
    await Promise.all([first.discover(name('a.example')), first.discover(name('a.example'))])
    await first.discover(name('a.example'))
    const none = ['srv_none', 'srv_none']
    // The addresses of a.example, for its .well-known, and of the name that it delegates to.
    const asked = ['address_found', 'address_found', ...none, 'well_known_found']
    expect(one.toSorted()).to.deep.equal(asked)
    // Addresses are of each process alone.
    await start('other', { onLookup: (outcome) => other.push(outcome) }).discover(name('a.example'))
    expect(other).to.deep.equal(['address_found'])
    await first.discover(name('192.0.2.7'))
    expect(one).to.have.length(asked.length)
    world.srv = { kind: 'failed', why: 'SERVFAIL' }
    world.delegate = null
    await first.discover(name('b.example'))
    expect(one.slice(asked.length).toSorted()).to.deep.equal([
      'address_found',
      'srv_failed',
      'srv_failed',
      'well_known_none',
    ])
  })
})

function fail(error: unknown): void {
  throw error instanceof Error ? error : new Error(String(error))
}
