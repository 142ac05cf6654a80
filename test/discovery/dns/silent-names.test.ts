/** Names whose DNS is silent, beside healthy ones: they cost the healthy ones neither an answer nor time. */
import { expect } from 'chai'
import { execFileSync } from 'node:child_process'
import { lookup } from 'node:dns/promises'
import { closeSync, openSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { makeQueryRooms } from '../../../src/discovery/dns/query-rooms.ts'
import { DNS_LIMITS } from '../../../src/discovery/dns/resolver.ts'
import { until } from '../../support/poll.ts'
import { brief, dnsSetting } from './setting.ts'
import type { ZoneData } from '../../../src/simulate/dns/zone.ts'

const ZONE: ZoneData = {
  '*.silent.example': { instead: 'silent' },
  '*.healthy.example': { a: ['192.0.2.1'], aaaa: ['2001:db8::1'] },
}
const HEALTHY = '2001:db8::1 192.0.2.1'

describe('names with silent DNS', () => {
  const setting = dnsSetting()
  const names = (count: number, kind: string) =>
    Array.from({ length: count }, (_, n) => `n${n}.${kind}.example`)

  it('never make a healthy one fail or wait: twelve of them, with everything as it is shipped', async () => {
    const server = await setting.server(ZONE)
    const resolver = setting.resolver([server], DNS_LIMITS)
    const silent = names(12, 'silent').map((name) => resolver.lookupAddresses(name))
    await until(() => server.asked() === 24, { what: '24 queries without an answer' })
    for (const name of names(20, 'healthy')) {
      const began = performance.now()
      expect(HEALTHY).to.include(brief(await resolver.lookupAddresses(name)))
      expect(performance.now() - began).to.be.below(2_500)
    }
    // They wait still: nothing of theirs was cut short for it.
    expect(resolver.counts().underWay).to.equal(24)
    resolver.close()
    expect(new Set((await Promise.all(silent)).map(brief))).to.deep.equal(new Set(['OURS']))
  })

  it('take nothing of the threads that Node shares among files, keys and getaddrinfo: with all of them taken it answers', async () => {
    const server = await setting.server(ZONE)
    const resolver = setting.resolver([server])
    const pipe = setting.path('pipe')
    execFileSync('mkfifo', [pipe])
    // Each takes a thread until somebody opens the other end.
    const opened = Array.from({ length: 32 }, () => open(pipe, 'r'))
    let systemTold = false
    const system = lookup('localhost').then(() => (systemTold = true))
    expect(brief(await resolver.lookupAddresses('n1.healthy.example'))).to.equal(HEALTHY)
    expect(systemTold, "the system's resolver waits for a thread").to.equal(false)
    const other = openSync(pipe, 'r+')
    for (const file of await Promise.all(opened)) await file.close()
    closeSync(other)
    await system
  })

  it('hold up healthy ones for a slot at most where there are more of them than places, and fail each in its turn', async () => {
    const server = await setting.server(ZONE)
    const limits = { quick: 4, again: 2, slow: 4, slotMs: 20, timeoutMs: 500, attempts: 1 }
    const resolver = setting.resolver([server], limits)
    const order: string[] = []
    const look = async (name: string) => {
      const told = brief(await resolver.lookupSrv(name))
      order.push(name.includes('healthy') ? 'healthy' : 'silent')
      return told
    }
    server.zone.set('*.healthy.example', { srv: [{ port: 1, target: 'a.example' }] })
    // Sixteen in the quick room, four at a time for 20 ms each; then four at a time for 500 ms each.
    const silent = names(16, 'silent').map(look)
    const healthy = names(8, 'healthy').map(look)
    expect(new Set(await Promise.all(healthy))).to.deep.equal(new Set(['a.example']))
    expect(
      order.filter((kind) => kind === 'silent').length,
      'silent ones that were through before',
    ).to.be.most(4)
    // However long they waited for a place, each had its own time with the server.
    expect(new Set(await Promise.all(silent))).to.deep.equal(new Set(['TIMEOUT']))
    expect(resolver.counts()).to.deep.include({ underWay: 0, waiting: 0 })
  })

  it('keep no more questions under way than there are places, and no answer from anybody who waits', async () => {
    const server = await setting.server(ZONE)
    const resolver = setting.resolver([server], {
      ...{ quick: 3, again: 1, slow: 2, slotMs: 50 },
      timeoutMs: 300,
      attempts: 1,
    })
    let most = 0
    const watch = setInterval(() => (most = Math.max(most, resolver.counts().underWay)), 1)
    setting.after(() => clearInterval(watch))
    void names(10, 'silent').map((name) => resolver.lookupAddresses(name))
    const healthy = await Promise.all(names(50, 'healthy').map((name) => resolver.lookupAddresses(name)))
    expect(new Set(healthy.map(brief))).to.deep.equal(new Set([HEALTHY]))
    expect(most).to.be.within(3, 6)
  })
})

describe('the rooms of questions', () => {
  const never = new AbortController().signal
  const forever = (signal: AbortSignal) =>
    new Promise<string>((resolve) => {
      if (signal.aborted) resolve('given up')
      signal.addEventListener('abort', () => resolve('given up'), { once: true })
    })

  it('ask anew, for a slot, what found the slow room full, and then, from its start, what waited for it', async () => {
    const rooms = makeQueryRooms({ quick: 1, again: 1, slow: 1, slotMs: 5 })
    const log: string[] = []
    const ends: (() => void)[] = []
    const work = (name: string) => (signal: AbortSignal) => {
      log.push(name)
      return Promise.race([forever(signal), new Promise<string>((resolve) => ends.push(() => resolve(name)))])
    }
    const a = rooms.run(work('a'), never)
    const b = rooms.run(work('b'), never)
    await until(() => rooms.waiting === 1 && log.length === 3, { what: 'b to wait for the slow room' })
    expect(rooms.underWay).to.equal(1)
    ends[0]!()
    expect(await a).to.equal('a')
    await until(() => log.length === 4, { what: 'b to be asked anew' })
    ends[3]!()
    expect(await b).to.equal('b')
    expect(log).to.deep.equal(['a', 'b', 'b', 'b'])
    expect(rooms).to.deep.include({ underWay: 0, waiting: 0 })
  })

  it('let everything end when they are closed: what runs, and what waits for any of them', async () => {
    const rooms = makeQueryRooms({ quick: 1, again: 1, slow: 1, slotMs: 50 })
    const closing = new AbortController()
    let begun = 0
    const work = (signal: AbortSignal) => {
      begun += 1
      return forever(signal)
    }
    const run = () => rooms.run(work, closing.signal)
    const early = [run(), run()]
    await until(() => begun === 3 && rooms.waiting === 1, {
      everyMs: 5,
      what: 'one to wait for the slow room',
    })
    const late = [run(), run()]
    closing.abort()
    expect(await Promise.all(early)).to.deep.equal(['given up', null])
    expect(await Promise.all(late)).to.deep.equal(['given up', null])
    expect(await rooms.run(forever, closing.signal)).to.equal(null)
    expect(rooms).to.deep.include({ underWay: 0, waiting: 0 })
  })

  it('give the place back after work that throws', async () => {
    const rooms = makeQueryRooms({ quick: 1, again: 1, slow: 1, slotMs: 1_000 })
    const failed = await rooms
      .run(() => Promise.reject(new Error('a bug')), never)
      .catch((error: unknown) => (error as Error).message)
    expect(failed).to.equal('a bug')
    expect(await rooms.run(() => Promise.resolve(1), never)).to.equal(1)
  })
})
