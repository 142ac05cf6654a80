/** Two processes and many names, with a real table, DNS server and web server: what is asked is asked once in all. */
import { expect } from 'chai'
import { once } from 'node:events'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Outbound } from '../../src/daemon/open-outbound.ts'
import { systemClock } from '../../src/pace/clock.ts'
import { makeCertificateAuthority } from '../../src/simulate/fleet/certs.ts'
import { startDnsServer, type DnsServer } from '../../src/simulate/dns/server.ts'
import { openPool, type Pool } from '../../src/store/db.ts'
import { freshDatabase } from '../support/postgres.ts'
import { outboundOnLoopback } from './outbound.ts'
import { name } from '../wire/setting.ts'

/** `LIMPET_NAMES=2000` takes a minute. */
const NAMES = Number(process.env['LIMPET_NAMES'] ?? 200)
const AT_ONCE = 24
const TTLS = { ttl: 3600, negativeTtl: 3600 }

type Way = 'a delegation with a port' | 'a delegation' | 'SRV' | 'nothing'
const WAYS: readonly Way[] = ['a delegation with a port', 'a delegation', 'SRV', 'nothing']
const wayOf = (n: number) => WAYS[n % WAYS.length] as Way
const nameOf = (n: number) => `h${n}.many.example`
const delegateOf = (n: number) => `d${n}.many.example`

describe('two processes that look for the same names', () => {
  let dns: DnsServer
  let web: Server
  let pages: Map<string, number>
  let database: string
  let start: () => Outbound & { troubles: unknown[] }
  const closers: (() => Promise<unknown>)[] = []
  const pools: Pool[] = []

  before(async () => {
    dns = await startDnsServer({ clock: systemClock })
    for (let n = 0; n < NAMES; n++) {
      const [host, delegate] = [nameOf(n), delegateOf(n)]
      for (const one of [host, delegate]) {
        dns.zone.set(one, { a: ['127.0.0.1'], ...TTLS })
        // There, and without records: that is remembered for as long as TTLS say.
        for (const service of ['_matrix-fed', '_matrix']) dns.zone.set(`${service}._tcp.${one}`, TTLS)
      }
      const srv = [{ port: 8448, target: delegate }]
      if (wayOf(n) === 'SRV') dns.zone.set(`_matrix-fed._tcp.${host}`, { srv, ...TTLS })
    }
    const authority = await makeCertificateAuthority(Date.now())
    pages = new Map()
    web = createServer(await authority.issue({ names: ['*.many.example'] }), (request, response) => {
      const host = /^[^:]+/.exec(request.headers.host ?? '')?.[0] ?? ''
      pages.set(host, (pages.get(host) ?? 0) + 1)
      const n = Number(/\d+/.exec(host)?.[0])
      const way = wayOf(n)
      if (way === 'SRV' || way === 'nothing') response.writeHead(404).end()
      else {
        const port = way === 'a delegation' ? '' : ':8448'
        response.end(JSON.stringify({ 'm.server': `${delegateOf(n)}${port}` }))
      }
    }).listen(0, '127.0.0.1')
    await once(web, 'listening')
    const { port: https } = web.address() as AddressInfo
    database = (await freshDatabase()).url
    start = () => {
      const pool = openPool({ url: database, max: 10 })
      pools.push(pool)
      const common = { dns: dns.name, ports: { https }, authority: authority.cert, clock: systemClock }
      const outbound = outboundOnLoopback({ ...common, pool })
      closers.push(() => outbound.close())
      return outbound
    }
  })
  after(async () => {
    for (const close of closers) await close()
    for (const pool of pools) await pool.end()
    web.close()
    web.closeAllConnections()
    await dns.stop()
  })

  /** Where each name leads, by the process. */
  async function lookForAll({ discovery }: Outbound, names = NAMES): Promise<string[]> {
    const found: string[] = []
    let next = 0
    const some = async () => {
      for (let n = next++; n < names; n = next++) {
        const told = await discovery.discover(name(nameOf(n)))
        found[n] = told.kind === 'failed' ? told.message : `${told.route.step} ${told.route.hostHeader}`
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, some))
    return found
  }

  const expected = (n: number) =>
    ({
      'a delegation with a port': `3.2 ${delegateOf(n)}:8448`,
      'a delegation': `3.5 ${delegateOf(n)}`,
      SRV: `4 ${nameOf(n)}`,
      nothing: `6 ${nameOf(n)}`,
    })[wayOf(n)]

  /** How often the table did not answer in time, on a machine that stalls: then a process looks up by itself. Nothing else may go wrong. */
  function tooSlow(...processes: ReturnType<typeof start>[]): number {
    const troubles = processes.flatMap((process) => process.troubles as { err: Error }[])
    for (const { err } of troubles) expect(err.message).to.match(/shared table did not answer within/)
    return troubles.length
  }

  /** The first that lead elsewhere than they should. */
  const differing = (found: readonly string[]) =>
    found
      .map((to, n) => `${to}, not ${expected(n)}`)
      .filter((_, n) => found[n] !== expected(n))
      .slice(0, 5)

  /** How often the records of each name were asked for, by the way that it is found. */
  function services(n: number): [fed: number, old: number] {
    const host = wayOf(n) === 'a delegation' ? delegateOf(n) : nameOf(n)
    return [dns.asked(`_matrix-fed._tcp.${host}`, 'SRV'), dns.asked(`_matrix._tcp.${host}`, 'SRV')]
  }
  const asked = () => Array.from({ length: NAMES }, (_, n) => [pages.get(nameOf(n)) ?? 0, ...services(n)])

  it('ask once in all; and one that is new asks nothing that is not past its time', async () => {
    const [one, other] = [start(), start()]
    for (const found of await Promise.all([lookForAll(one), lookForAll(other)]))
      expect(differing(found)).to.deep.equal([])
    const before = asked()
    const most = {
      'a delegation with a port': [1, 0, 0],
      'a delegation': [1, 1, 1],
      SRV: [1, 1, 1],
      nothing: [1, 1, 1],
    }
    let twice = 0
    for (const [n, counts] of before.entries()) {
      for (const [i, count] of counts.entries()) twice += Math.max(0, count - (most[wayOf(n)][i] ?? 0))
      expect(counts[0], `requests for .well-known of ${nameOf(n)}`).to.be.at.least(1)
      expect(counts[1], `SRV lookups for ${nameOf(n)}`).to.be.at.least(most[wayOf(n)][1] ?? 0)
    }
    expect(twice, 'lookups that were made again').to.be.at.most(tooSlow(one, other))
    expect(pages.size, 'names with requests for .well-known').to.equal(NAMES)

    const fresh = start()
    expect(differing(await lookForAll(fresh))).to.deep.equal([])
    const more =
      asked()
        .flat()
        .reduce((sum, count) => sum + count, 0) - before.flat().reduce((sum, count) => sum + count, 0)
    expect(more, 'lookups of the one that is new').to.be.at.most(tooSlow(fresh))

    // An hour later the records are past their time, and of the pages only those that said that there is none.
    await pools[0]!.query(`insert into settings (key, value) values ('clock_offset_ms', '3600001')`)
    const beforeLater = asked()
    const later = start()
    expect(differing(await lookForAll(later, 4))).to.deep.equal([])
    const since = asked()
      .slice(0, 4)
      .map((counts, n) => counts.map((count, i) => count - (beforeLater[n]?.[i] ?? 0)))
    expect(since.map(([page, fed]) => [page, fed])).to.deep.equal([
      [0, 0],
      [0, 1],
      [1, 1],
      [1, 1],
    ])
  }).timeout(300_000)
})
