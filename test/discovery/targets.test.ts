/** Where the places of a route lead where there is a proxy: names are the proxy's to look up, addresses are vetted. */
import { expect } from 'chai'
import { makeProxyFor } from '../../src/allow/no-proxy.ts'
import { parseProxy } from '../../src/allow/proxy-url.ts'
import { makeVet } from '../../src/allow/vet.ts'
import { makeLocate } from '../../src/discovery/targets.ts'
import { systemClock } from '../../src/pace/clock.ts'

const PROXY = parseProxy('http://me:topsecret@proxy.example:3128')
const ABOUT = { step: '1', tlsName: 'b.example', sni: 'b.example', hostHeader: 'b.example' } as const

const located = (name: string, { literal = false, port = 443, noProxy = [] as string[] } = {}) => {
  const asked: string[] = []
  const locate = makeLocate({
    addresses: (host) => {
      asked.push(host)
      const answer = { kind: 'found', records: [{ address: '2a01::7' }], ttlMs: 1 } as const
      return Promise.resolve({
        answer,
        state: 'asked',
        ageMs: 0,
        leftMs: 1,
        againMs: 1,
        failures: 0,
      } as const)
    },
    ...{ vet: makeVet({}), proxyFor: makeProxyFor(PROXY, noProxy), clock: systemClock },
  })
  return locate({ ...ABOUT, places: [{ host: { name, literal }, port }] }).then((found) => ({ found, asked }))
}

describe('the places of a route, with a proxy', () => {
  it('a name is not looked up, and goes to the proxy as a name', async () => {
    const { found, asked } = await located('b.example')
    expect(asked).to.deep.equal([])
    expect(found.kind === 'found' && found.targets).to.deep.equal([
      {
        ...{ addresses: ['b.example'], port: 443, proxy: PROXY },
        ...{ tlsName: 'b.example', sni: 'b.example', hostHeader: 'b.example' },
      },
    ])
    expect(found.places[0]).to.include({ proxy: 'proxy.example:3128', cache: null })
    expect(JSON.stringify(found.places)).not.to.contain('topsecret')
  })

  it('what no_proxy lists is looked up and reached directly', async () => {
    const { found, asked } = await located('b.example', { noProxy: ['.example'] })
    expect(asked).to.deep.equal(['b.example'])
    expect(found.kind === 'found' && found.targets[0]).to.deep.include({
      addresses: ['2a01::7'],
      proxy: null,
    })
  })

  it('an address goes to the proxy as well, unless it may not be connected to', async () => {
    const { found } = await located('2a01::1', { literal: true })
    expect(found.kind === 'found' && found.targets[0]).to.deep.include({
      addresses: ['2a01::1'],
      proxy: PROXY,
    })
    const inside = await located('127.0.0.1', { literal: true })
    expect(inside.found).to.include({ kind: 'failed', stage: 'address' })
  })
})
