import { expect } from 'chai'
import type { LookedUp, ServiceRecord } from '../../src/discovery/lookups.ts'
import type { Remembered } from '../../src/discovery/memory.ts'
import type { WellKnown } from '../../src/discovery/read-well-known.ts'
import { makeResolve, routeKey } from '../../src/discovery/resolve.ts'
import type { ResolveNeeds, Routed } from '../../src/discovery/resolve.ts'
import { parseServerName } from '../../src/matrix/ids.ts'
import { handClock } from './hand-clock.ts'

const name = (text: string) => parseServerName(text)!
const remembered = <A>(answer: A, about: Partial<Remembered<A>> = {}): Remembered<A> => ({
  ...{ answer, state: 'asked', ageMs: 0, leftMs: 60_000, againMs: 60_000, failures: 0 },
  ...about,
})
const NONE: Remembered<LookedUp<ServiceRecord>> = remembered({ kind: 'none', ttlMs: 60_000 })
const ABSENT: Remembered<WellKnown> = remembered({ kind: 'absent', status: 404, lifeMs: 60_000 })
const at = (target: string): Remembered<LookedUp<ServiceRecord>> =>
  remembered({ kind: 'found', records: [{ target, port: 1, priority: 0, weight: 0 }], ttlMs: 60_000 })

function aResolve(needs: Partial<ResolveNeeds> = {}) {
  const clock = handClock()
  const asked: string[] = []
  const answers = {
    wellKnown: () => Promise.resolve(ABSENT),
    services: () => Promise.resolve(NONE),
    ...needs,
  }
  const resolve = makeResolve({
    ...{ matrixPort: 8448, clock, random: () => 0.5 },
    wellKnown(host, options) {
      asked.push(host)
      return answers.wellKnown(host, options)
    },
    services(service, options) {
      asked.push(service)
      return answers.services(service, options)
    },
  })
  return { clock, asked, resolve }
}

const connects = (routed: Routed) =>
  routed.kind === 'found' ? routed.route.places.map(({ host }) => host.name) : routed.message

describe('the steps of discovery', () => {
  it('ask nothing of who may not be asked, and nothing more once that is so', async () => {
    const { asked, resolve } = aResolve()
    const never = await resolve(name('a.example'), { mayAsk: () => false })
    expect([connects(never), asked]).to.deep.equal(['nothing may be asked of it', []])
    const after = await resolve(name('a.example'), { mayAsk: () => asked.length === 0 })
    expect([connects(after), asked]).to.deep.equal(['nothing may be asked of it', ['a.example']])
  })

  it('ask what they need, in order and in lower case, and say what they did', async () => {
    const { asked, resolve, clock } = aResolve({
      wellKnown: async () => {
        await clock.sleep(30)
        return remembered({ kind: 'delegated', to: name('B.example'), lifeMs: 1, from: 'https://w.example/' })
      },
      services: (service) =>
        Promise.resolve(
          service.startsWith('_matrix._') ? at('c.example') : { ...NONE, state: 'stale', failures: 2 },
        ),
    })
    const resolving = resolve(name('A.example'))
    await clock.move(30)
    const { steps } = await resolving
    expect(asked).to.deep.equal(['a.example', '_matrix-fed._tcp.b.example', '_matrix._tcp.b.example'])
    const cache = { state: 'asked', ageMs: 0, leftMs: 60_000, againMs: 60_000, failures: 0 }
    expect(steps).to.deep.equal([
      {
        ...{ step: '3', asked: 'https://a.example/.well-known/matrix/server', durationMs: 30, cache },
        outcome: 'm.server is B.example (https://w.example/)',
      },
      {
        ...{ step: '3.3', asked: 'SRV _matrix-fed._tcp.B.example', durationMs: 0 },
        ...{ outcome: 'no such record', cache: { ...cache, state: 'stale', failures: 2 } },
      },
      {
        ...{ step: '3.4', asked: 'SRV _matrix._tcp.B.example', durationMs: 0, cache },
        outcome: 'c.example port 1',
      },
    ])
  })

  it('ask nothing for an IP address or a name with a port', async () => {
    const { asked, resolve } = aResolve()
    for (const text of ['1.2.3.4', '[::1]', '[::1]:1', 'a.example:1']) await resolve(name(text))
    expect(asked).to.deep.equal([])
  })

  it('do not wait for an SRV lookup that is silent before they ask the other', async () => {
    let answer: (outcome: Remembered<LookedUp<ServiceRecord>>) => void = () => undefined
    const { asked, resolve, clock } = aResolve({
      services: (service) =>
        service.startsWith('_matrix._') ? Promise.resolve(at('old')) : new Promise((done) => (answer = done)),
    })
    const resolving = resolve(name('a.example'))
    await clock.move(999)
    expect(asked).to.have.length(2)
    await clock.move(1)
    expect(asked).to.have.length(3)
    // And yet the first one goes first.
    answer(at('new'))
    expect(connects(await resolving)).to.deep.equal(['new'])
  })

  it('pass on that everything is to be asked anew', async () => {
    const options: unknown[] = []
    const { resolve } = aResolve({
      wellKnown: (_host, how) => (options.push(how), Promise.resolve(ABSENT)),
      services: (_service, how) => (options.push(how), Promise.resolve(NONE)),
    })
    await resolve(name('a.example'), { anew: true })
    expect(options).to.deep.equal([{ anew: true }, { anew: true }, { anew: true }])
  })

  it('reject where a lookup has a defect, at whichever step', async () => {
    const defect = () => Promise.reject(new Error('a defect'))
    for (const needs of [
      { wellKnown: defect },
      { services: defect },
      { services: (service: string) => (service.startsWith('_matrix._') ? defect() : Promise.resolve(NONE)) },
    ]) {
      const got = aResolve(needs).resolve(name('a.example'))
      expect(await got.catch((error: unknown) => String(error))).to.equal('Error: a defect')
    }
  })

  it('give routes that can be told apart, whatever order weights put their places in', async () => {
    const found = (ports: number[]): Remembered<LookedUp<ServiceRecord>> => {
      const records = ports.map((port) => ({ target: 'c.example', port, priority: 0, weight: 1 }))
      return remembered({ kind: 'found', records, ttlMs: 1 })
    }
    const keyOf = async (needs: Partial<ResolveNeeds>, random = 0) => {
      const clock = handClock()
      const usual = { wellKnown: () => Promise.resolve(ABSENT), services: () => Promise.resolve(NONE) }
      const routed = await makeResolve({ ...usual, matrixPort: 8448, clock, random: () => random, ...needs })(
        name('a.example'),
      )
      return routed.kind === 'found' ? routeKey(routed.route) : ''
    }
    const services = (ports: number[]) => ({ services: () => Promise.resolve(found(ports)) })
    const delegated = (to: string) => ({
      wellKnown: () => Promise.resolve(remembered<WellKnown>({ kind: 'delegated', to: name(to), lifeMs: 1 })),
    })
    expect(await keyOf(services([1, 2, 3]), 0)).to.equal(await keyOf(services([1, 2, 3]), 0.99))
    const twenty = Array.from({ length: 20 }, (_, i) => i + 1)
    const ofTwenty = await keyOf(services(twenty), 0)
    expect(await keyOf(services(twenty), 0.99), 'of many others are tried').to.equal(ofTwenty)
    expect(await keyOf(services(twenty.slice(1)), 0)).to.not.equal(ofTwenty)
    expect(await keyOf(services([1]))).to.equal(await keyOf(services([1, 1])))
    expect(await keyOf(delegated('B.Example'))).to.equal(await keyOf(delegated('b.example')))
    const keys = await Promise.all([
      ...[keyOf({}), keyOf(services([1, 2])), keyOf(services([1])), keyOf(delegated('b.example'))],
      ...[keyOf(delegated('b.example:8448')), keyOf(delegated('127.0.0.1')), keyOf(delegated('c.example'))],
    ])
    expect(new Set(keys).size).to.equal(keys.length)
  })
})
