/** A and AAAA at once: neither spoils the other, and neither holds it up for long. */
import { expect } from 'chai'
import { brief, dnsSetting } from './setting.ts'
import type { ZoneName } from '../../../src/simulate/dns/zone.ts'

describe('both families of addresses', () => {
  const setting = dnsSetting()
  const both = { a: ['192.0.2.1'], aaaa: ['2001:db8::1'] }
  async function start(name: ZoneName) {
    const server = await setting.server({ 'n.example': name })
    return { server, resolver: setting.resolver([server], { timeoutMs: 400, attempts: 1 }) }
  }

  for (const [type, other] of [
    ['AAAA', '192.0.2.1'],
    ['A', '2001:db8::1'],
  ] as const) {
    for (const instead of ['servfail', 'refused', 'silent', 'referral'] as const) {
      it(`are those that there are if ${type} is answered by ${instead}`, async () => {
        const { resolver } = await start({ ...both, instead: { [type]: instead } })
        const began = performance.now()
        const found = await resolver.lookupAddresses('n.example')
        expect(brief(found)).to.equal(other)
        // Before a silent one has had its time.
        expect(performance.now() - began).to.be.below(350)
        // The other family may be there; so this is not kept for long.
        expect(found.kind === 'found' && found.ttlMs).to.equal(30_000)
      })
    }
  }

  it('are both there the next time, where one was late', async () => {
    const { resolver, server } = await start({ ...both, instead: { AAAA: { slowMs: 150 } } })
    expect(brief(await resolver.lookupAddresses('n.example'))).to.equal('192.0.2.1')
    while (resolver.counts().underWay > 0) await new Promise((resolve) => setTimeout(resolve, 5))
    expect(brief(await resolver.lookupAddresses('n.example'))).to.equal('2001:db8::1 192.0.2.1')
    expect(server.asked('n.example')).to.equal(2)
  })

  it('are waited for while there is none of either', async () => {
    const { resolver } = await start({ aaaa: ['2001:db8::1'], instead: { AAAA: { slowMs: 150 } } })
    expect(brief(await resolver.lookupAddresses('n.example'))).to.equal('2001:db8::1')
  })

  it('are none only if both say so', async () => {
    const failing = await start({ instead: { AAAA: 'servfail' } })
    expect(brief(await failing.resolver.lookupAddresses('n.example'))).to.equal('SERVFAIL')
    const silent = await start({ instead: { A: 'silent', AAAA: 'nxdomain' } })
    expect(brief(await silent.resolver.lookupAddresses('n.example'))).to.equal('TIMEOUT')
    // Some servers say NXDOMAIN where they mean that there is no such record (RFC 4074, 4.2).
    const odd = await start({ ...both, instead: { AAAA: 'nxdomain' } })
    expect(brief(await odd.resolver.lookupAddresses('n.example'))).to.equal('192.0.2.1')
    const nothing = await start({ instead: { AAAA: 'nxdomain' } })
    expect(brief(await nothing.resolver.lookupAddresses('n.example'))).to.equal('NODATA')
  })
})
