/**
 * An operator blocks a domain while requests are under way to two hundred of its servers, from two processes. Names lead to loopback by real
 * DNS, and all of them to one server over TLS, which says who asks for what.
 */
import { expect } from 'chai'
import { once } from 'node:events'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { mappedNetwork } from '../../src/daemon/open-outbound.ts'
import { systemClock } from '../../src/pace/clock.ts'
import { startDnsServer, type DnsServer } from '../../src/simulate/dns/server.ts'
import { until } from '../support/poll.ts'
import { loopbackAuthority, makeWorld, PATIENT, TOKENS, type World } from './world.ts'

const ROOM = '!room:home.example'
const MANY = 200
const TWO_SECONDS = 2_000
const BUSY_MS = 8_000

interface Domain {
  port: number
  /** By the name that was asked for: each transaction's id and body, once for each request. */
  requests: Map<string, { txnId: string; body: string }[]>
  /** Requests that are not answered. */
  open: () => number
  sockets: () => number
  /** From now on all are answered. */
  answer: () => void
  stop: () => Promise<void>
}

/** A server for all names of a domain. It takes requests and does not answer. */
async function startDomain(names: string[]): Promise<Domain> {
  const { ca } = await loopbackAuthority()
  const requests: Domain['requests'] = new Map()
  let hangs = true
  let open = 0
  const sockets = new Set<object>()
  const server: Server = createServer({ ...(await ca.issue({ names })), keepAliveTimeout: 600_000 })
  server.on('secureConnection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    socket.on('error', () => undefined)
  })
  server.on('request', (request, response) => {
    const chunks: Buffer[] = []
    open += 1
    response.once('close', () => (open -= 1))
    request.on('error', () => undefined)
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const name = (request.headers.host ?? '').replace(/:\d+$/, '')
      const txnId = request.url?.split('/').at(-1) ?? ''
      const known = requests.get(name) ?? []
      requests.set(name, [...known, { txnId, body: Buffer.concat(chunks).toString() }])
      if (!hangs) response.end('{"pdus":{}}')
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    requests,
    open: () => open,
    sockets: () => sockets.size,
    answer: () => (hangs = false),
    stop: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

describe('an operator blocks a domain', function () {
  this.timeout(120_000)
  let dns: DnsServer
  let domain: Domain
  let world: World
  const names = Array.from({ length: MANY }, (_, n) => `n${n}.bad.example`)

  beforeEach(async () => {
    dns = await startDnsServer({ clock: systemClock })
    domain = await startDomain(['*.bad.example'])
    for (const name of [...names, 'later.bad.example']) dns.zone.set(name, { a: ['127.0.0.1'] })
    world = await makeWorld({
      settings: {
        internal: { ...PATIENT.internal, linger_ms: 600_000 },
        // What comes by itself here never comes by a sweep.
        sweep_interval_ms: 3_600_000,
        shutdown_grace_ms: 500,
        federation: {
          ...{ dns_servers: [dns.name], max_concurrency: 512, recovering_concurrency: 512 },
          // Names of which nobody has heard are many at once.
          ramp_per_second: 10_000,
        },
      },
      network: () => mappedNetwork({ https: 1, matrix: domain.port, dns: dns.port }),
    })
  })
  afterEach(async () => {
    await world.stop()
    await domain.stop()
    await dns.stop()
  })

  const ask = (method: string, path: string, body?: object) =>
    world.request(path, {
      ...{ method, token: TOKENS.admin },
      ...(body === undefined
        ? {}
        : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    })
  const counted = () => [...domain.requests.values()].flat().length
  const nobodyHas = (like: string) =>
    until(
      async () =>
        (
          await world.pool.query('select from destinations where name like $1 and lease_owner is not null', [
            like,
          ])
        ).rowCount === 0,
      { what: 'its turns to end' },
    )
  /** Of a followed one an answer is written down with what goes next, or when it is let go. */
  const allAnswered = () =>
    until(
      async () =>
        (
          await world.pool.query(
            'select from open_transactions o join destinations d on d.id = o.destination where not d.follows',
          )
        ).rowCount === 0,
      { what: 'everything to be answered' },
    )
  const tell = async (words: string, ...servers: string[]) => {
    const { item, eventId } = world.event(ROOM, { body: words })
    const join = servers.length === 0 ? [] : [{ type: 'servers', room_id: ROOM, add: servers }]
    await world.ingest([...join, item])
    return eventId
  }

  it('with two hundred requests under way in two processes: all end within two seconds, nothing is asked any more, and it all arrives afterwards', async () => {
    const open = await world.remote()
    await world.start(['ingest', 'housekeep', 'deliver'])
    await world.start(['deliver'])
    const servers = names.map((name) => `${name}:${domain.port}`)
    await tell('words before', open.serverName, ...servers)
    await until(() => domain.open() === MANY, { what: 'all requests to be under way' })
    const held = await world.pool.query<{ workers: number }>(
      'select count(distinct lease_owner)::int as workers from destinations where lease_owner is not null',
    )
    expect(held.rows[0]?.workers, 'processes that send').to.equal(2)
    const before = new Map(domain.requests)

    const since = performance.now()
    expect((await ask('POST', '/v1/blocks', { glob: '*.bad.example', reason: 'spam' })).status).to.equal(200)
    // A process that has not heard of it still has its requests open, and may begin others.
    await until(() => domain.open() + domain.sockets() === 0, { what: 'no request and no connection' })
    const took = performance.now() - since
    console.log(`      all were cut off after ${Math.round(took)} ms`)
    // Two seconds, and what a busy machine may take beside that.
    expect(took, 'ms').to.be.below(TWO_SECONDS + BUSY_MS)
    const requests = counted()

    // One that is new, without a port: it would be asked for by .well-known, SRV and address.
    const asked = dns.asked()
    const second = await tell('words while blocked', 'later.bad.example')
    await until(() => open.received.has(second), { what: 'the event where nobody is blocked' })
    const { body: seen } = await world.request('/v1/destinations/later.bad.example', { token: TOKENS.read })
    expect(seen).to.include({ state: 'blocked', pending_pdus: 1 })
    expect((await ask('POST', '/v1/destinations/later.bad.example/wake')).status).to.equal(409)
    const { body: report } = await world.request('/v1/destinations/later.bad.example/discovery', {
      token: TOKENS.read,
    })
    expect(report).to.deep.include({ steps: [], places: [], error: null })
    expect((report as { blocked: string }).blocked).to.match(/^\*\.bad\.example is blocked by .*: spam$/)
    await nobodyHas('%.bad.example%')
    // An answer of the other server may be written down only later.
    const left = await world.pool.query<{ n: number }>(
      `select count(*)::int as n from open_transactions o join destinations d on d.id = o.destination
        where d.name like '%.bad.example%'`,
    )
    expect(left.rows[0]?.n, 'unanswered transactions that are kept').to.equal(MANY)
    const failed = await world.pool.query('select from destinations where failures > 0')
    expect(failed.rowCount, 'failures that it is blamed for').to.equal(0)
    expect([domain.sockets(), counted(), dns.asked()]).to.deep.equal([0, requests, asked])

    domain.answer()
    expect((await ask('DELETE', '/v1/blocks?glob=*.bad.example')).status).to.equal(200)
    const has = (name: string, words: string) =>
      domain.requests.get(name)?.some(({ body }) => body.includes(words)) === true
    await until(() => [...names, 'later.bad.example'].every((name) => has(name, 'words while blocked')), {
      what: 'everybody to have what came meanwhile',
    })
    for (const name of names) {
      const [one, again] = domain.requests.get(name) ?? []
      expect(one, name).to.deep.equal(before.get(name)?.[0])
      expect(again, `${name}: the same id and bytes once more`).to.deep.equal(one)
      expect(has(name, 'words before')).to.equal(true)
    }
    await allAnswered()
  })

  it('that it is in steady traffic with: its request and its connection end, and nobody has it any more', async () => {
    const remote = await world.remote()
    await world.start()
    await tell('first words', remote.serverName)
    const row = async (what: string) =>
      (
        await world.pool.query<{ it: unknown }>(`select ${what} as it from destinations where name = $1`, [
          remote.serverName,
        ])
      ).rows[0]?.it
    await until(
      async () => {
        if ((await row('lease_owner is null')) === true) await tell('more words')
        return (await row('follows')) === true
      },
      { what: 'it to be followed', everyMs: 200 },
    )
    const before = remote.requests
    remote.behave({ kind: 'hang' })
    const held = await tell('words that are not answered')
    await remote.seen(before + 1)
    expect(await row('follows')).to.equal(true)
    await ask('POST', '/v1/blocks', { glob: '127.0.0.1' })
    await nobodyHas(remote.serverName)
    const [open] = remote.transactions.slice(-1)
    await tell('words while blocked')
    remote.behave({ kind: 'ok' })
    expect(await row('failures')).to.equal(0)
    expect(remote.requests).to.equal(before + 1)
    await ask('DELETE', '/v1/blocks?glob=127.0.0.1')
    await until(() => remote.received.has(held), { what: 'what was not answered' })
    expect(open?.requestsAt).to.have.length(2)
    await allAnswered()
    expect(remote.violations).to.deep.equal([])
    expect(remote.mostOpenAtOnce).to.equal(1)
  })
})
