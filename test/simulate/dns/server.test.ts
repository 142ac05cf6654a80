/** The simulator's DNS server, asked by a client that is not ours: c-ares, as Node brings it, and raw packets. */
import { expect } from 'chai'
import { createSocket } from 'node:dgram'
import { Resolver } from 'node:dns/promises'
import { once } from 'node:events'
import packet from 'dns-packet'
import { systemClock } from '../../../src/pace/clock.ts'
import { startDnsServer } from '../../../src/simulate/dns/server.ts'
import type { DnsServer, DnsServerOptions } from '../../../src/simulate/dns/server.ts'
import { makeDnsZone } from '../../../src/simulate/dns/zone.ts'
import type { ZoneData } from '../../../src/simulate/dns/zone.ts'

const ZONE: ZoneData = {
  'a.example': { a: ['192.0.2.1', '192.0.2.2'], aaaa: ['2001:db8::1'], ttl: 77 },
  'alias.example': { cname: 'alias2.example', ttl: 5 },
  'alias2.example': { cname: 'a.example' },
  'stops.example': { cname: 'a.example', cnameOnly: true },
  '_matrix-fed._tcp.a.example': { srv: [{ priority: 10, weight: 5, port: 8448, target: 'a.example' }] },
  'many.example': { a: Array.from({ length: 100 }, (_, n) => `192.0.2.${n}`) },
  'cut.example': { a: ['192.0.2.3'], instead: 'truncated' },
  'half.example': { a: ['192.0.2.4'], aaaa: ['2001:db8::4'], instead: { AAAA: 'servfail' } },
  'servfail.example': { instead: 'servfail' },
  'refused.example': { instead: 'refused' },
  'silent.example': { instead: 'silent' },
  'slow.example': { a: ['192.0.2.5'], instead: { slowMs: 50 } },
  '*.wild.example': { a: ['192.0.2.6'] },
  'there.wild.example': { aaaa: ['2001:db8::6'] },
  'short.example': { negativeTtl: 7 },
  'loop.example': { cname: 'loop.example' },
}

describe("the simulator's DNS server", () => {
  const servers: DnsServer[] = []
  afterEach(() => Promise.all(servers.splice(0).map((server) => server.stop())))

  async function start(options: Partial<DnsServerOptions> = {}) {
    const server = await startDnsServer({ zone: ZONE, clock: systemClock, ...options })
    servers.push(server)
    const client = new Resolver({ timeout: 200, tries: 1 })
    client.setServers([server.name])
    return { server, client }
  }
  const codeOf = (asked: Promise<unknown>): Promise<unknown> =>
    asked.then(
      (answer) => answer,
      (error: unknown) => (error as { code: string }).code,
    )

  it('answers with records and their times', async () => {
    const { client, server } = await start()
    expect(await client.resolve4('a.example', { ttl: true })).to.deep.equal([
      { address: '192.0.2.1', ttl: 77 },
      { address: '192.0.2.2', ttl: 77 },
    ])
    expect(await client.resolve6('A.Example')).to.deep.equal(['2001:db8::1'])
    expect(await client.resolveSrv('_matrix-fed._tcp.a.example')).to.deep.equal([
      { priority: 10, weight: 5, port: 8448, name: 'a.example' },
    ])
    expect(server.asked('a.example', 'AAAA')).to.equal(1)
    expect(server.asked('a.example')).to.equal(2)
    expect(server.asked()).to.equal(3)
  })

  it('follows CNAMEs, and stops at the first where it is told to', async () => {
    const { client } = await start()
    expect(await client.resolve4('alias.example')).to.deep.equal(['192.0.2.1', '192.0.2.2'])
    expect(await client.resolveCname('alias.example')).to.deep.equal(['alias2.example'])
    const { answers } = makeDnsZone(ZONE).answer('stops.example', 'A')
    expect(answers.map(({ type }) => type)).to.deep.equal(['CNAME'])
    expect(makeDnsZone(ZONE).answer('loop.example', 'A').answers).to.have.length(16)
  })

  it('tells a name that is not there from one without such records, and from one with others below it', async () => {
    const { client } = await start()
    expect(await codeOf(client.resolve4('nowhere.example'))).to.equal('ENOTFOUND')
    expect(await codeOf(client.resolveSrv('a.example'))).to.equal('ENODATA')
    expect(await codeOf(client.resolve4('_tcp.a.example'))).to.equal('ENODATA')
  })

  it('stands for all names below a wildcard but those that are there', async () => {
    const { client } = await start()
    expect(await client.resolve4('any.wild.example')).to.deep.equal(['192.0.2.6'])
    expect(await client.resolve4('a.b.wild.example')).to.deep.equal(['192.0.2.6'])
    expect(await codeOf(client.resolve4('there.wild.example'))).to.equal('ENODATA')
  })

  it('fails as it is told, for a name or for one type of it', async () => {
    const { client } = await start()
    expect(await codeOf(client.resolve4('servfail.example'))).to.equal('ESERVFAIL')
    expect(await codeOf(client.resolve4('refused.example'))).to.equal('EREFUSED')
    expect(await codeOf(client.resolve4('silent.example'))).to.equal('ETIMEOUT')
    expect(await client.resolve4('half.example')).to.deep.equal(['192.0.2.4'])
    expect(await codeOf(client.resolve6('half.example'))).to.equal('ESERVFAIL')
  })

  it('is slow where it is told to be', async () => {
    const { client } = await start()
    const began = performance.now()
    expect(await client.resolve4('slow.example')).to.deep.equal(['192.0.2.5'])
    expect(performance.now() - began).to.be.above(45)
  })

  it('truncates over UDP what is told or too large, and gives it over TCP', async () => {
    const { client, server } = await start()
    expect(await client.resolve4('cut.example')).to.deep.equal(['192.0.2.3'])
    expect(await client.resolve4('many.example')).to.have.length(100)
    expect(server.askedOver('tcp')).to.equal(2)
    expect(server.askedOver('udp')).to.equal(2)
  })

  it('takes other data meanwhile, and a port again that it had', async () => {
    const { client, server } = await start()
    server.zone.set('new.example', { a: ['192.0.2.9'] })
    expect(await client.resolve4('new.example')).to.deep.equal(['192.0.2.9'])
    server.zone.remove('new.example')
    await server.stop()
    servers.splice(0)
    const again = await start({ port: server.port })
    expect(again.server.port).to.equal(server.port)
    expect(await codeOf(again.client.resolve4('new.example'))).to.equal('ENOTFOUND')
  })

  it('listens on IPv6 too', async () => {
    const { client, server } = await start({ host: '::1' })
    expect(server.name).to.equal(`[::1]:${server.port}`)
    expect(await client.resolve4('alias.example')).to.deep.equal(['192.0.2.1', '192.0.2.2'])
  })

  it('says how long nothing may be remembered, and leaves out EDNS where it is old', async () => {
    const { server } = await start({ edns: 'formerr' })
    const opt = {
      ...{ type: 'OPT' as const, name: '.', udpPayloadSize: 1232 },
      ...{ extendedRcode: 0, ednsVersion: 0, flags: 0, flag_do: false, options: [] },
    }
    const ask = async (additionals: packet.Answer[]) => {
      const socket = createSocket('udp4')
      const questions = [{ name: 'short.example', type: 'A' as const }]
      socket.send(packet.encode({ id: 5, questions, additionals }), server.port, '127.0.0.1')
      const [bytes] = (await once(socket, 'message')) as [Buffer]
      socket.close()
      return packet.decode(bytes)
    }
    const plain = await ask([])
    const [soa] = plain.authorities ?? []
    expect(soa).to.deep.include({ type: 'SOA', name: '.', ttl: 7 })
    expect(soa).to.have.nested.property('data.minimum', 7)
    expect((await ask([opt])).flags! & 0xf).to.equal(1)
  })
})
