/** What a lookup comes to: real packets to a DNS server on loopback. */
import { expect } from 'chai'
import { until } from '../../support/poll.ts'
import { brief, dnsSetting } from './setting.ts'
import type { ZoneData } from '../../../src/simulate/dns/zone.ts'

const ZONE: ZoneData = {
  'both.example': { a: ['192.0.2.1', '192.0.2.2'], aaaa: ['2001:db8::1'], ttl: 77 },
  'four.example': { a: ['192.0.2.4'], negativeTtl: 30, ttl: 300 },
  'six.example': { aaaa: ['2001:db8::6'] },
  'alias.example': { cname: 'alias2.example', ttl: 20 },
  'alias2.example': { cname: 'both.example' },
  'stops.example': { cname: 'stops2.example', cnameOnly: true, ttl: 9 },
  'stops2.example': { cname: 'both.example', cnameOnly: true },
  'dangling.example': { cname: 'nowhere.example' },
  'nosoa.example': { negativeTtl: null },
  'circle.example': { cname: 'circle2.example' },
  'circle2.example': { cname: 'circle.example' },
  'hop.example': { cname: 'hop2.example', cnameOnly: true },
  'hop2.example': { cname: 'hop.example', cnameOnly: true },
  'servfail.example': { instead: 'servfail' },
  'refused.example': { instead: 'refused' },
  'silent.example': { instead: 'silent' },
  'referral.example': { instead: 'referral' },
  'cut.example': { a: ['192.0.2.3'], instead: { A: 'truncated' } },
  'many.example': { a: Array.from({ length: 100 }, (_, n) => `192.0.2.${n}`) },
  '_matrix-fed._tcp.srv.example': {
    srv: [
      { priority: 10, weight: 5, port: 8448, target: 'alias.example' },
      { priority: 20, weight: 0, port: 443, target: 'Second.Example.' },
    ],
    ttl: 120,
  },
  '_matrix-fed._tcp.none.example': { srv: [{ port: 0, target: '.' }] },
  '_matrix-fed._tcp.literal.example': { srv: [{ port: 9, target: '127.0.0.1' }] },
  '_matrix-fed._tcp.odd.example': { srv: [{ port: 9, target: 'not a name' }] },
  '_matrix-fed._tcp.delegated.example': { cname: '_matrix-fed._tcp.srv.example' },
}

describe('the resolver', () => {
  const setting = dnsSetting()
  const start = async () => {
    const server = await setting.server(ZONE)
    return { server, resolver: setting.resolver([server], { timeoutMs: 100, attempts: 2 }) }
  }

  it('finds addresses of both families, with the time that they may be kept', async () => {
    const { resolver } = await start()
    expect(await resolver.lookupAddresses('both.example')).to.deep.equal({
      kind: 'found',
      records: [
        { address: '2001:db8::1', family: 6 },
        { address: '192.0.2.1', family: 4 },
        { address: '192.0.2.2', family: 4 },
      ],
      ttlMs: 77_000,
    })
  })

  it('finds those of one family where there is one, for no longer than it is known that the other has none', async () => {
    const { resolver } = await start()
    expect(await resolver.lookupAddresses('four.example')).to.deep.include({ kind: 'found', ttlMs: 30_000 })
    expect(brief(await resolver.lookupAddresses('six.example'))).to.equal('2001:db8::6')
  })

  it('finds SRV records with their times, and gives the targets as they can be looked up', async () => {
    const { resolver } = await start()
    expect(await resolver.lookupSrv('_matrix-fed._tcp.srv.example')).to.deep.equal({
      kind: 'found',
      records: [
        { priority: 10, weight: 5, port: 8448, target: 'alias.example' },
        { priority: 20, weight: 0, port: 443, target: 'second.example' },
      ],
      ttlMs: 120_000,
    })
  })

  it('gives the SRV target `.` and an address in its place as they are, and counts no other oddity as a target', async () => {
    const { resolver } = await start()
    expect(brief(await resolver.lookupSrv('_matrix-fed._tcp.none.example'))).to.equal('.')
    expect(brief(await resolver.lookupSrv('_matrix-fed._tcp.literal.example'))).to.equal('127.0.0.1')
    expect(brief(await resolver.lookupSrv('_matrix-fed._tcp.odd.example'))).to.equal('MALFORMED')
  })

  it('follows CNAMEs and names their end, for the shortest of their times', async () => {
    const { resolver } = await start()
    const found = await resolver.lookupAddresses('alias.example')
    expect(brief(found)).to.equal('2001:db8::1 192.0.2.1 192.0.2.2')
    expect(found).to.deep.include({ cname: 'both.example', ttlMs: 20_000 })
    const srv = await resolver.lookupSrv('_matrix-fed._tcp.delegated.example')
    expect(srv).to.deep.include({ cname: '_matrix-fed._tcp.srv.example', ttlMs: 120_000 })
  })

  it('asks on where the answer stops at a CNAME', async () => {
    const { resolver, server } = await start()
    const found = await resolver.lookupAddresses('stops.example')
    expect(brief(found)).to.equal('2001:db8::1 192.0.2.1 192.0.2.2')
    expect(found).to.deep.include({ cname: 'both.example', ttlMs: 9_000 })
    expect(server.asked('both.example', 'A')).to.equal(1)
  })

  it('says where a CNAME leads to nothing, and gives up those that go in a circle', async () => {
    const { resolver } = await start()
    expect(await resolver.lookupAddresses('dangling.example')).to.deep.include({
      ...{ kind: 'none', why: 'NXDOMAIN', cname: 'nowhere.example' },
    })
    expect(brief(await resolver.lookupAddresses('circle.example'))).to.equal('MALFORMED')
    expect(brief(await resolver.lookupAddresses('hop.example'))).to.equal('MALFORMED')
  })

  it('tells a name that does not exist from one without records, with the time of the SOA', async () => {
    const { resolver } = await start()
    expect(await resolver.lookupAddresses('nowhere.example')).to.deep.equal({
      ...{ kind: 'none', why: 'NXDOMAIN', ttlMs: 60_000 },
    })
    expect(await resolver.lookupSrv('_matrix._tcp.four.example')).to.deep.include({ why: 'NXDOMAIN' })
    expect(await resolver.lookupSrv('four.example')).to.deep.equal({
      ...{ kind: 'none', why: 'NODATA', ttlMs: 30_000 },
    })
    expect(await resolver.lookupSrv('nosoa.example')).to.deep.equal({
      ...{ kind: 'none', why: 'NODATA', ttlMs: 30_000 },
    })
  })

  it('tells the failures apart, and none of them from nothing', async () => {
    const { resolver, server } = await start()
    const at = server.name
    expect(await resolver.lookupSrv('servfail.example')).to.deep.equal({
      ...{ kind: 'failed', code: 'SERVFAIL', why: `${at} answered SERVFAIL` },
    })
    expect(await resolver.lookupSrv('refused.example')).to.deep.equal({
      ...{ kind: 'failed', code: 'REFUSED', why: `${at} answered REFUSED` },
    })
    expect(await resolver.lookupSrv('silent.example')).to.deep.equal({
      ...{ kind: 'failed', code: 'TIMEOUT', why: `${at} did not answer in time` },
    })
    expect(await resolver.lookupSrv('referral.example')).to.deep.equal({
      ...{ kind: 'failed', code: 'MALFORMED', why: `${at} sent an answer that refers to another server` },
    })
    // One that answered is not asked again; one that was silent is.
    expect(server.asked('servfail.example')).to.equal(1)
    expect(server.asked('silent.example')).to.equal(2)
  })

  it('asks over TCP where the answer is truncated, or too large for UDP', async () => {
    const { resolver, server } = await start()
    expect(brief(await resolver.lookupAddresses('cut.example'))).to.equal('192.0.2.3')
    expect(server.askedOver('tcp')).to.equal(1)
    // 32 are kept of any answer.
    const many = await resolver.lookupAddresses('many.example')
    expect(many.kind === 'found' && many.records.length).to.equal(32)
    expect(server.askedOver('tcp')).to.equal(2)
  })

  it('asks without EDNS where a server does not know it, or says nothing to it', async () => {
    for (const edns of ['formerr', 'silent'] as const) {
      const server = await setting.server(ZONE, { edns })
      const resolver = setting.resolver([server], { timeoutMs: 100, attempts: 2 })
      expect(brief(await resolver.lookupAddresses('both.example'))).to.match(/^2001:db8::1 /)
      expect(server.asked('both.example', 'A')).to.equal(2)
    }
  })

  it('takes names in any case and with a dot at the end, and asks nothing of what is not a name', async () => {
    const { resolver, server } = await start()
    expect(brief(await resolver.lookupAddresses('BOTH.example.'))).to.match(/^2001:db8::1 /)
    const asked = server.asked()
    const odd = [
      '',
      '.',
      '..',
      'a..b',
      'a b',
      'é.example',
      `${'x'.repeat(64)}.example`,
      'y.'.repeat(127) + 'example',
    ]
    for (const name of [...odd, '2130706433', '0x7f.1', '127.1', '1.2.3.4.5', '256.1.1.1', 'a.0x1f']) {
      expect(brief(await resolver.lookupAddresses(name)), name).to.equal('NXDOMAIN')
      expect(brief(await resolver.lookupSrv(name)), name).to.equal('NXDOMAIN')
    }
    expect(server.asked()).to.equal(asked)
  })

  it('gives an IP literal as its own address, without asking', async () => {
    const { resolver, server } = await start()
    expect(brief(await resolver.lookupAddresses('192.0.2.7'))).to.equal('192.0.2.7')
    expect(brief(await resolver.lookupAddresses('2001:db8::7'))).to.equal('2001:db8::7')
    expect(server.asked()).to.equal(0)
  })

  it('never completes a name with a search domain', async () => {
    const server = await setting.server({ 'short.example.com': { a: ['192.0.2.9'] } })
    setting.write('resolv.conf', `search example.com\noptions ndots:5\nnameserver 127.0.0.1\n`)
    const resolver = setting.resolver(null, {}, { port: server.port })
    expect(brief(await resolver.lookupAddresses('short'))).to.equal('NXDOMAIN')
    expect(server.asked('short.example.com')).to.equal(0)
  })

  it('lets one go who waits no longer, and the question goes on for the others', async () => {
    const server = await setting.server({ 'slow.example': { a: ['192.0.2.1'], instead: { slowMs: 100 } } })
    const resolver = setting.resolver([server])
    const first = new AbortController()
    const given = resolver.lookupAddresses('slow.example', { signal: first.signal })
    const others = resolver.lookupAddresses('slow.example', { signal: new AbortController().signal })
    first.abort()
    expect(await given).to.deep.equal({ kind: 'failed', code: 'OURS', why: 'the lookup was given up' })
    expect(brief(await others)).to.equal('192.0.2.1')
    expect(server.asked('slow.example', 'A')).to.equal(1)
  })

  it('ends what is under way at once when it is closed, and takes no more', async () => {
    const server = await setting.server(ZONE)
    const resolver = setting.resolver([server], { timeoutMs: 600_000, wholeMs: 600_000 })
    const silent = resolver.lookupSrv('silent.example')
    const cut = resolver.lookupAddresses('cut.example')
    await until(() => server.asked('silent.example') > 0, { everyMs: 5, what: 'a query' })
    resolver.close()
    expect(await silent).to.deep.include({ kind: 'failed', code: 'OURS' })
    await cut
    expect(await resolver.lookupAddresses('both.example')).to.deep.include({ kind: 'failed', code: 'OURS' })
    expect(resolver.counts()).to.deep.include({ underWay: 0, waiting: 0 })
  })
})
