/** What is remembered, for how long, and that it stays little. */
import { expect } from 'chai'
import { makeAnswerCache } from '../../../src/discovery/dns/answer-cache.ts'
import { brief, dnsSetting, makeForwardClock } from './setting.ts'

describe('what the resolver remembers', () => {
  const setting = dnsSetting()

  it('is given again for as long as it may be, with the time that is left, and then asked for again', async () => {
    const server = await setting.server({ 'a.example': { a: ['192.0.2.1'], ttl: 100, negativeTtl: 200 } })
    const resolver = setting.resolver([server])
    await resolver.lookupAddresses('a.example')
    setting.clock.forward(40_000)
    const again = await resolver.lookupAddresses('A.example.')
    expect(again.kind === 'found' && again.ttlMs).to.be.within(59_000, 60_000)
    expect(server.asked('a.example')).to.equal(2)
    setting.clock.forward(60_000)
    server.zone.set('a.example', { a: ['192.0.2.2'] })
    expect(brief(await resolver.lookupAddresses('a.example'))).to.equal('192.0.2.2')
    // That it has no IPv6 address was known for longer.
    expect(server.asked('a.example', 'A')).to.equal(2)
    expect(server.asked('a.example', 'AAAA')).to.equal(1)
  })

  it('is over as soon as one of the two clocks says so', async () => {
    const server = await setting.server({
      '_s.example': { srv: [{ port: 1, target: 'a.example' }], ttl: 100 },
    })
    const resolver = setting.resolver([server])
    for (const which of ['wall', 'monotonic'] as const) {
      await resolver.lookupSrv('_s.example')
      const asked = server.asked('_s.example')
      setting.clock.forward(100_000, which)
      await resolver.lookupSrv('_s.example')
      expect(server.asked('_s.example'), which).to.equal(asked + 1)
    }
    // Put back by a day, the wall's clock keeps nothing longer.
    setting.clock.forward(-86_400_000, 'wall')
    const kept = await resolver.lookupSrv('_s.example')
    expect(kept.kind === 'found' && kept.ttlMs).to.be.most(100_000)
  })

  it('is kept for no less than the least and no more than the most time, whatever the answer says', async () => {
    const server = await setting.server({
      'zero.example': { a: ['192.0.2.1'], aaaa: ['2001:db8::1'], ttl: 0 },
      'week.example': { a: ['192.0.2.2'], aaaa: ['2001:db8::2'], ttl: 604_800 },
      'negative.example': { ttl: 604_800, negativeTtl: 604_800 },
      // RFC 2181, 8: with the highest bit it counts as zero.
      'high.example': { a: ['192.0.2.3'], aaaa: ['2001:db8::3'], ttl: 2 ** 31 },
    })
    const resolver = setting.resolver([server])
    const timeOf = async (name: string) => {
      const outcome = await resolver.lookupAddresses(name)
      return outcome.kind === 'failed' ? null : outcome.ttlMs
    }
    expect(await timeOf('zero.example')).to.equal(5_000)
    expect(await timeOf('high.example')).to.equal(5_000)
    expect(await timeOf('week.example')).to.equal(86_400_000)
    expect(await timeOf('negative.example')).to.equal(3_600_000)
  })

  it('holds that there is nothing, and for a moment that it failed', async () => {
    const server = await setting.server({ 'broken.example': { instead: 'servfail' } })
    const resolver = setting.resolver([server])
    for (const name of ['nothing.example', 'broken.example']) {
      const first = brief(await resolver.lookupSrv(name))
      expect(brief(await resolver.lookupSrv(name))).to.equal(first)
      expect(server.asked(name), name).to.equal(1)
    }
    setting.clock.forward(5_000)
    await resolver.lookupSrv('nothing.example')
    server.zone.set('broken.example', { srv: [{ port: 1, target: 'a.example' }] })
    expect(brief(await resolver.lookupSrv('broken.example'))).to.equal('a.example')
    expect(server.asked('nothing.example')).to.equal(1)
  })

  it('is left aside by who asks afresh, and survives a failure of that', async () => {
    const server = await setting.server({ '_s.example': { srv: [{ port: 1, target: 'old.example' }] } })
    const resolver = setting.resolver([server])
    await resolver.lookupSrv('_s.example')
    server.zone.set('_s.example', { instead: 'servfail' })
    expect(brief(await resolver.lookupSrv('_s.example', { fresh: true }))).to.equal('SERVFAIL')
    expect(brief(await resolver.lookupSrv('_s.example'))).to.equal('old.example')
    server.zone.set('_s.example', { srv: [{ port: 1, target: 'new.example' }] })
    expect(brief(await resolver.lookupSrv('_s.example', { fresh: true }))).to.equal('new.example')
    expect(brief(await resolver.lookupSrv('_s.example'))).to.equal('new.example')
  })

  it('is asked for once by many at the same time', async () => {
    const server = await setting.server({
      'a.example': { a: ['192.0.2.1'], aaaa: ['2001:db8::1'], instead: { slowMs: 30 } },
    })
    const resolver = setting.resolver([server], { lateMs: 1_000 })
    const names = ['a.example', 'A.EXAMPLE', 'a.example.']
    const all = await Promise.all(
      Array.from({ length: 60 }, (_, n) => resolver.lookupAddresses(names[n % 3]!)),
    )
    expect(new Set(all.map(brief))).to.deep.equal(new Set(['2001:db8::1 192.0.2.1']))
    expect(server.asked('a.example')).to.equal(2)
    expect(resolver.counts().sent).to.equal(2)
  })

  it('comes back to nothing after thousands of names once, and is bounded before', async () => {
    const server = await setting.server({
      '*.example': { srv: [{ port: 1, target: 'a.example' }], ttl: 600 },
    })
    const resolver = setting.resolver([server], { mostRemembered: 1_000 })
    let next = 0
    let most = 0
    const asker = async () => {
      while (next < 4_000) {
        const name = `n${next++}.example`
        expect(brief(await resolver.lookupSrv(name))).to.equal('a.example')
        most = Math.max(most, resolver.counts().remembered)
      }
    }
    await Promise.all(Array.from({ length: 50 }, asker))
    expect(most).to.equal(1_000)
    // The last ones are there still, the first ones are not.
    const asked = server.asked()
    await resolver.lookupSrv('n3999.example')
    expect(server.asked()).to.equal(asked)
    setting.clock.forward(600_000)
    await resolver.lookupSrv('another.example')
    expect(resolver.counts()).to.deep.include({ remembered: 1, underWay: 0, waiting: 0 })
  })

  it('gives way by what was used least recently', () => {
    const cache = makeAnswerCache<number>({ clock: makeForwardClock(), most: 2 })
    cache.set('a', 1, 1_000)
    cache.set('b', 2, 1_000)
    expect(cache.get('a')?.value).to.equal(1)
    cache.set('c', 3, 1_000)
    expect(cache.get('b')).to.equal(null)
    expect(cache.get('a')?.value).to.equal(1)
    cache.set('a', 0, 0)
    expect(cache.get('a')).to.equal(null)
    expect(cache.size).to.equal(1)
  })
})
