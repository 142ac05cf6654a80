/**
 * A delegation that moves while events are sent: real DNS, `.well-known` and two homeservers on loopback, joined as the daemon joins them;
 * the clock is moved by hand. No event is lost, and what is past its time leads nowhere.
 */
import { expect } from 'chai'
import { once } from 'node:events'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Outbound } from '../../src/daemon/open-outbound.ts'
import { systemClock } from '../../src/pace/clock.ts'
import { startDnsServer, type DnsServer } from '../../src/simulate/dns/server.ts'
import type { ZoneSrv } from '../../src/simulate/dns/zone.ts'
import type { FakeHomeserver } from '../../src/simulate/fleet/fake-homeserver.ts'
import { makeRemotes } from '../../src/wire/send.ts'
import type { Ready, Remotes } from '../../src/wire/send-result.ts'
import { aBody, name, origin, useSetting } from '../wire/setting.ts'
import { movableClock } from './check-case.ts'
import { outboundOnLoopback } from './outbound.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const MOVING = 'moving.example'
const SRV = `_matrix-fed._tcp.${MOVING}`
const HERE = { a: ['127.0.0.1'] }

describe('a delegation that moves', () => {
  const setting = useSetting()
  let dns: DnsServer
  let web: Server
  let outbound: Outbound & { troubles: unknown[] }
  let remotes: Remotes
  let clock: ReturnType<typeof movableClock>
  let old: FakeHomeserver, anew: FakeHomeserver
  let page: { status: number; to?: string; maxAge?: number }
  let pages: number
  let events: number

  beforeEach(async () => {
    const { authority, closing, homeserver, key } = setting()
    clock = movableClock()
    events = pages = 0
    dns = await startDnsServer({ clock: systemClock })
    closing(() => dns.stop())
    const names = [MOVING, 'old.example', 'new.example']
    for (const one of names) dns.zone.set(one, HERE)
    const tls = await authority.issue({ names })
    web = createServer(tls, (_request, response) => {
      pages++
      const { status, to, maxAge = 3600 } = page
      response.writeHead(status, { 'cache-control': `max-age=${maxAge}` })
      response.end(to === undefined ? '' : JSON.stringify({ 'm.server': to }))
    }).listen(0, '127.0.0.1')
    await once(web, 'listening')
    closing(() => {
      web.close()
      web.closeAllConnections()
    })
    ;[old, anew] = [await homeserver({ tls, name: MOVING }), await homeserver({ tls, name: MOVING })]
    const { port: https } = web.address() as AddressInfo
    outbound = outboundOnLoopback({
      ...{ dns: dns.name, ports: { https }, authority: authority.cert, pool: null, clock },
    })
    closing(() => outbound.close())
    const { connections, resolveTarget } = outbound
    const log = { debug: () => undefined, error: (about: unknown) => void outbound.troubles.push(about) }
    remotes = makeRemotes({
      ...{ connections, resolveTarget, key, origin, userAgent: 'limpet/0.0.0', clock, log },
    })
    page = { status: 200, to: `old.example:${old.port}` }
  })

  const reach = { destination: name(MOVING), stillHeld: () => true, signal: new AbortController().signal }

  async function connect(): Promise<Ready> {
    const ready = await remotes.connect(reach)
    if (ready.kind === 'failed') throw new Error(ready.message)
    return ready
  }

  /** One event, which has to arrive. */
  async function sendOne(connected?: Ready): Promise<void> {
    const ready = connected ?? (await connect())
    const id = `$${events++}`
    const request = { txnId: id, body: Buffer.from(aBody(id)), eventIds: [id], timeoutMs: MINUTE }
    const result = await ready.send(request)
    expect(result.kind, result.kind === 'failed' ? result.message : '').to.equal('answered')
  }

  /** One event each `stepMs`. */
  async function traffic(forMs: number, stepMs: number): Promise<void> {
    for (let passed = 0; passed < forMs; passed += stepMs) {
      clock.move(stepMs)
      await sendOne()
    }
  }

  /** All events arrived, each at one of the two. */
  const nothingIsLost = () => {
    const all = [old, anew].flatMap(({ received }) => [...received.values()].map(({ times }) => times))
    expect(all).to.deep.equal(Array<number>(events).fill(1))
    for (const { violations } of [old, anew]) expect(violations).to.deep.equal([])
  }
  const requests = () => [old.requests, anew.requests]
  const srv = (records: readonly ZoneSrv[], ttl = 600) => dns.zone.set(SRV, { srv: records, ttl })

  it('leads to the new host when its time is over, and the connection to the old one is ended', async () => {
    await sendOne()
    await traffic(30 * MINUTE, MINUTE)
    page = { status: 200, to: `new.example:${anew.port}` }
    await traffic(30 * MINUTE, MINUTE)
    const atTheEnd = old.requests
    await traffic(60 * MINUTE, MINUTE)
    expect(old.requests - atTheEnd, 'requests to the old host after its time').to.equal(0)
    expect(old.requests).to.be.within(55, 61)
    nothingIsLost()
    expect([old.connections, anew.connections]).to.deep.equal([1, 1])
    expect(outbound.connections.counts()).to.deep.equal({ idle: 1, inUse: 0, opening: 0 })
    expect(anew.hosts).to.deep.equal([`new.example:${anew.port}`])
  })

  it('is not waited for while it stays where it is: one connection, and one page an hour', async () => {
    await sendOne()
    await traffic(5 * HOUR, 5 * MINUTE)
    expect([old.connections, ...requests()]).to.deep.equal([1, events, 0])
    expect(pages).to.be.within(5, 8)
    nothingIsLost()
  })

  it('leads to the old host through failures, and to the new one when the page comes back', async () => {
    await sendOne()
    page = { status: 500 }
    await traffic(5 * HOUR, 10 * MINUTE)
    expect(requests()).to.deep.equal([events, 0])
    expect(old.connections).to.equal(1)
    page = { status: 200, to: `new.example:${anew.port}` }
    // Failures are remembered for an hour at most.
    await traffic(70 * MINUTE, 10 * MINUTE)
    const before = old.requests
    await traffic(HOUR, 10 * MINUTE)
    expect(old.requests).to.equal(before)
    nothingIsLost()
    expect(outbound.connections.counts()).to.deep.equal({ idle: 1, inUse: 0, opening: 0 })
  })

  it('is not looked at for each transaction while its page fails', async () => {
    await sendOne()
    page = { status: 500 }
    clock.move(HOUR)
    await sendOne()
    let unconnected = 0
    for (let sent = 0; sent < 100; sent++) {
      clock.move(5_000)
      const idle = remotes.takeIdle({
        ...{ destination: name(MOVING), stillHeld: () => true, signal: new AbortController().signal },
      })
      if (idle === null) unconnected++
      idle?.giveBack()
      await sendOne()
    }
    // 500 seconds: once a minute.
    expect(unconnected).to.be.within(7, 12)
    expect(old.connections).to.equal(1)
    expect(pages, 'it is asked after 1, 2, 4 … minutes, or nearly').to.be.within(4, 7)
  })

  it('that ends leads on to the SRV records, and back when it is there again', async () => {
    srv([{ port: anew.port, target: 'new.example' }])
    await sendOne()
    page = { status: 404 }
    clock.move(HOUR)
    await traffic(30 * MINUTE, 5 * MINUTE)
    expect(requests()).to.deep.equal([1, events - 1])
    page = { status: 200, to: `old.example:${old.port}` }
    clock.move(HOUR)
    await traffic(30 * MINUTE, 5 * MINUTE)
    expect(requests()).to.deep.equal([7, 6])
    expect([old.connections, anew.connections]).to.deep.equal([2, 1])
    nothingIsLost()
  })

  it('is asked for again by a request that waited with its connection until the time was over', async () => {
    await sendOne()
    page = { status: 200, to: `new.example:${anew.port}` }
    for (const open of ['idle', 'new']) {
      const ready = await connect()
      expect(ready.wasIdle).to.equal(open === 'idle')
      clock.move(HOUR)
      await sendOne(ready)
      expect(requests()).to.deep.equal([1, events - 1])
      if (open === 'new') break
      for (let n = 0; n < 3; n++) await sendOne()
      outbound.connections.drop(outbound.connections.take(name(MOVING))!)
    }
    nothingIsLost()
  })

  it('keeps a connection whose request waited, where it has not moved', async () => {
    await sendOne()
    const ready = await connect()
    clock.move(HOUR)
    await sendOne(ready)
    expect([old.connections, old.requests]).to.deep.equal([1, 2])
    expect(outbound.connections.counts()).to.deep.equal({ idle: 1, inUse: 0, opening: 0 })
  })

  it('is no other one where SRV records come in another order, weight or case, and however many there are', async () => {
    page = { status: 404 }
    const targets = Array.from({ length: 12 }, (_, n) => `t${n}.example`)
    for (const target of targets) dns.zone.set(target, HERE)
    for (let round = 0; round < 12; round++) {
      const turned = [...targets.slice(round), ...targets.slice(0, round)]
      srv(
        turned.map((target, n) => {
          const written = round % 2 === 0 ? target : target.toUpperCase()
          return { port: old.port, target: written, weight: n, priority: 1 }
        }),
      )
      await sendOne()
      clock.move(11 * MINUTE)
    }
    expect([old.connections, ...requests()]).to.deep.equal([1, 12, 0])
    srv([{ port: anew.port, target: 'new.example' }])
    await sendOne()
    expect(requests()).to.deep.equal([12, 1])
    nothingIsLost()
  })
})
