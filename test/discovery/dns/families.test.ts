/** A and AAAA at once: neither spoils the other, and neither holds it up for long. */
import { expect } from 'chai'
import { DNS_LIMITS } from '../../../src/discovery/dns/resolver.ts'
import { until } from '../../support/poll.ts'
import { brief, dnsSetting } from './setting.ts'
import type { ZoneName } from '../../../src/simulate/dns/zone.ts'

describe('both families of addresses', () => {
  const setting = dnsSetting()
  const both = { a: ['192.0.2.1'], aaaa: ['2001:db8::1'] }
  async function start(name: ZoneName, timeoutMs = 5_000) {
    const server = await setting.server({ 'n.example': name })
    const { lateMs } = DNS_LIMITS
    return { server, resolver: setting.resolver([server], { timeoutMs, attempts: 1, lateMs }) }
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
        expect(performance.now() - began).to.be.below(4_000)
        // The other family may be there; so this is not kept for long.
        expect(found.kind === 'found' && found.ttlMs).to.equal(30_000)
      })
    }
  }

  it('are both there the next time, where one was late', async () => {
    const { resolver, server } = await start({ ...both, instead: { AAAA: { slowMs: 800 } } })
    expect(brief(await resolver.lookupAddresses('n.example'))).to.equal('192.0.2.1')
    await until(() => resolver.counts().underWay === 0, { what: 'the late answer' })
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
    const silent = await start({ instead: { A: 'silent', AAAA: 'nxdomain' } }, 200)
    expect(brief(await silent.resolver.lookupAddresses('n.example'))).to.equal('TIMEOUT')
    // Some servers say NXDOMAIN where they mean that there is no such record (RFC 4074, 4.2).
    const odd = await start({ ...both, instead: { AAAA: 'nxdomain' } })
    expect(brief(await odd.resolver.lookupAddresses('n.example'))).to.equal('192.0.2.1')
    const nothing = await start({ instead: { AAAA: 'nxdomain' } })
    expect(brief(await nothing.resolver.lookupAddresses('n.example'))).to.equal('NODATA')
  })
})
