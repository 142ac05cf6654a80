/** Which servers are asked, in which order, and that they are others when the file says so. */
import { expect } from 'chai'
import { rmSync } from 'node:fs'
import { makeServerOrder } from '../../../src/discovery/dns/server-order.ts'
import { until } from '../../support/poll.ts'
import { brief, dnsSetting, makeForwardClock } from './setting.ts'

const answer = { 'n.example': { a: ['192.0.2.1'], aaaa: ['2001:db8::1'] } }
const THERE = '2001:db8::1 192.0.2.1'

describe('the servers that the resolver asks', () => {
  const setting = dnsSetting()
  const quick = { timeoutMs: 80, attempts: 2 }

  for (const instead of ['silent', 'servfail', 'refused', 'referral'] as const) {
    it(`are asked one after the other where the first is ${instead}`, async () => {
      const first = await setting.server({ '*.example': { instead } })
      const second = await setting.server(answer)
      const resolver = setting.resolver([first, second], quick)
      expect(brief(await resolver.lookupAddresses('n.example'))).to.equal(THERE)
      expect(first.asked('n.example', 'A')).to.equal(1)
    })
  }

  it('are asked one after the other where nothing listens at the first', async () => {
    const gone = await setting.server()
    const second = await setting.server(answer)
    await gone.stop()
    const resolver = setting.resolver([gone, second], quick)
    expect(brief(await resolver.lookupAddresses('n.example'))).to.equal(THERE)
  })

  it('are not asked any further where one says that there is nothing', async () => {
    const first = await setting.server()
    const second = await setting.server(answer)
    const resolver = setting.resolver([first, second], quick)
    expect(brief(await resolver.lookupAddresses('n.example'))).to.equal('NXDOMAIN')
    expect(second.asked()).to.equal(0)
  })

  it('are named, each with what it did', async () => {
    const first = await setting.server({ 'n.example': { instead: 'silent' } })
    const second = await setting.server({ 'n.example': { instead: 'servfail' } })
    const resolver = setting.resolver([first, second], { ...quick, attempts: 1 })
    expect(await resolver.lookupSrv('n.example')).to.deep.equal({
      ...{ kind: 'failed', code: 'SERVFAIL' },
      why: `${first.name} did not answer in time; ${second.name} answered SERVFAIL`,
    })
  })

  it('are not blamed, nor is the name, for what this process may not or cannot do, and that is not remembered', async () => {
    // A broadcast address, which the system does not let us send to.
    const servers = [{ address: '255.255.255.255', port: 53 }]
    const resolver = setting.resolver(null, quick, { servers })
    for (const round of [1, 2]) {
      expect(await resolver.lookupSrv('n.example')).to.deep.equal({
        ...{ kind: 'failed', code: 'OURS' },
        why: '255.255.255.255 could not be asked by this process (EACCES)',
      })
      expect(resolver.counts().sent).to.equal(quick.attempts * round)
    }
  })

  it('take no longer than the whole time, however many are silent', async () => {
    const all = await Promise.all(
      [1, 2, 3, 4].map(() => setting.server({ 'n.example': { instead: 'silent' } })),
    )
    const resolver = setting.resolver(all, { timeoutMs: 100, attempts: 5, wholeMs: 250 })
    const began = performance.now()
    expect(brief(await resolver.lookupSrv('n.example'))).to.equal('TIMEOUT')
    expect(performance.now() - began).to.be.within(240, 1_500)
    expect(all.map((server) => server.asked())).to.deep.equal([1, 1, 1, 0])
  })

  it('are asked at once in the right order after one was silent several times in a row, and in the old one later', () => {
    const clock = makeForwardClock()
    const [a, b] = [1, 2].map((n) => ({ address: `192.0.2.${n}`, port: 53 }))
    const order = makeServerOrder([a!, b!], clock)
    order.silent(a!, false)
    order.silent(a!, false)
    expect(order.inTurn()).to.deep.equal([a, b])
    order.answered(a!)
    order.silent(a!, false)
    order.silent(a!, false)
    expect(order.inTurn(), 'it answered something between').to.deep.equal([a, b])
    order.silent(a!, false)
    expect(order.inTurn()).to.deep.equal([b, a])
    clock.forward(10_000)
    expect(order.inTurn()).to.deep.equal([a, b])
    order.silent(a!, false)
    expect(order.inTurn(), 'one more is enough then').to.deep.equal([b, a])
    order.answered(a!)
    expect(order.inTurn()).to.deep.equal([a, b])
    order.silent(a!, true)
    expect(order.inTurn(), 'nothing listens there').to.deep.equal([b, a])
  })

  it('are others when resolv.conf changes, and what the old ones said is forgotten', async () => {
    const first = await setting.server({ 'n.example': { a: ['192.0.2.1'] } }, { host: '127.0.0.1' })
    const second = await setting.server(
      { 'n.example': { a: ['192.0.2.2'] } },
      { host: '127.0.0.2', port: first.port },
    )
    setting.write('resolv.conf', 'nameserver 127.0.0.1\n')
    const resolver = setting.resolver(null, quick, { port: first.port })
    expect(brief(await resolver.lookupAddresses('n.example'))).to.equal('192.0.2.1')
    setting.write('resolv.conf', 'nameserver 127.0.0.2\n', 50)
    expect(brief(await resolver.lookupAddresses('n.example')), 'not looked at again yet').to.equal(
      '192.0.2.1',
    )
    setting.clock.forward(3_000)
    expect(brief(await resolver.lookupAddresses('n.example'))).to.equal('192.0.2.2')
    expect(second.asked('n.example', 'A')).to.equal(1)
    // The same text, written anew: nothing is forgotten.
    setting.write('resolv.conf', 'nameserver 127.0.0.2\n', 40)
    setting.clock.forward(3_000)
    await resolver.lookupAddresses('n.example')
    expect(second.asked('n.example', 'A')).to.equal(1)
  })

  it('are there as soon as an empty or missing resolv.conf is filled', async () => {
    for (const before of ['', null]) {
      const server = await setting.server(answer, { host: '127.0.0.3' })
      if (before === null) rmSync(setting.path('resolv.conf'), { force: true })
      else setting.write('resolv.conf', before)
      const resolver = setting.resolver(null, quick, { port: server.port })
      // resolv.conf(5): the server on this machine, and nothing listens there.
      const failed = await resolver.lookupAddresses('n.example')
      expect(failed).to.deep.equal({
        ...{ kind: 'failed', code: 'UNREACHABLE' },
        why: '127.0.0.1 (resolv.conf names no server) could not be reached (ECONNREFUSED)',
      })
      setting.write('resolv.conf', 'nameserver 127.0.0.3\n', 50)
      setting.clock.forward(3_000)
      expect(brief(await resolver.lookupAddresses('n.example'))).to.equal(THERE)
    }
  })

  it('are asked anew by a lookup during which resolv.conf changed', async () => {
    const first = await setting.server({ 'n.example': { instead: 'silent' } })
    const second = await setting.server(answer, { host: '127.0.0.2', port: first.port })
    setting.write('resolv.conf', 'nameserver 127.0.0.1\n')
    const resolver = setting.resolver(null, { ...quick, timeoutMs: 200 }, { port: first.port })
    const found = resolver.lookupAddresses('n.example')
    await until(() => first.asked('n.example', 'A') > 0, { everyMs: 5, what: 'a query to the first' })
    setting.write('resolv.conf', 'nameserver 127.0.0.2\n', 50)
    setting.clock.forward(3_000)
    expect(brief(await found)).to.equal(THERE)
    expect(second.asked('n.example', 'A')).to.equal(1)
  })

  it('are asked over IPv6 with a zone', async () => {
    const server = await setting.server(answer, { host: '::1' })
    setting.write('resolv.conf', 'nameserver ::1%lo\n')
    const resolver = setting.resolver(null, quick, { port: server.port })
    expect(brief(await resolver.lookupAddresses('n.example'))).to.equal(THERE)
    setting.write('resolv.conf', 'nameserver fe80::1%nosuchif\n', 50)
    setting.clock.forward(3_000)
    const failed = await resolver.lookupAddresses('n.example')
    expect(failed).to.deep.include({ kind: 'failed', code: 'UNREACHABLE' })
  })

  it('are those that are given, with a port of their own, and not those of resolv.conf', async () => {
    const given = await setting.server(answer)
    const other = await setting.server({}, { host: '127.0.0.2', port: given.port })
    setting.write('resolv.conf', 'nameserver 127.0.0.2\n')
    const resolver = setting.resolver([given], quick)
    expect(brief(await resolver.lookupAddresses('n.example'))).to.equal(THERE)
    expect(other.asked()).to.equal(0)
  })
})
