import { expect } from 'chai'
import { rateAddresses, rateServices, rateWellKnown } from '../../src/discovery/ratings.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

describe('what answers are worth', () => {
  const srv = { priority: 0, weight: 0, port: 1, target: 'c.example' }
  const failed = { kind: 'failed', why: 'SERVFAIL' } as const

  it('DNS answers count as long as they say, within bounds; that there is none, for an hour at most', () => {
    const lives = [0, 60_000, 12 * HOUR, 2 ** 31 * 1000].map((ttlMs) => {
      const found = rateServices({ kind: 'found', records: [srv], ttlMs })
      const none = rateServices({ kind: 'none', ttlMs })
      const address = rateAddresses({ kind: 'found', records: [{ address: '127.0.0.1' }], ttlMs })
      return [found, none, address].map((rating) => rating.rank !== 'failed' && rating.lifeMs)
    })
    expect(lives).to.deep.equal([
      [30_000, 30_000, 5_000],
      [MINUTE, MINUTE, MINUTE],
      [12 * HOUR, HOUR, 12 * HOUR],
      [24 * HOUR, HOUR, 24 * HOUR],
    ])
  })

  it('what arrived is shared, but no addresses, and no failure of the DNS', () => {
    expect(rateServices({ kind: 'found', records: [srv], ttlMs: 1 })).to.include({
      rank: 'good',
      shareable: true,
    })
    expect(rateServices({ kind: 'none', ttlMs: 1 })).to.include({ rank: 'absent', shareable: true })
    expect(rateServices(failed)).to.include({ rank: 'failed', shareable: false })
    expect(rateAddresses({ kind: 'none', ttlMs: 1 })).to.include({ rank: 'absent', shareable: false })
    expect(rateAddresses(failed)).to.include({ rank: 'failed', shareable: false })
    expect(rateWellKnown({ kind: 'absent', status: 404, lifeMs: HOUR })).to.include({
      rank: 'absent',
      shareable: true,
    })
    expect(rateWellKnown({ kind: 'failed', arrived: true, why: '' })).to.include({ shareable: true })
    expect(rateWellKnown({ kind: 'failed', arrived: false, why: '' })).to.include({ shareable: false })
  })

  it('the DNS is asked again within five minutes, and within a second where this process could not ask', () => {
    expect(rateServices(failed)).to.include({ firstErrorMs: 5000, longestErrorMs: 5 * MINUTE })
    expect(rateServices({ ...failed, code: 'SERVFAIL' })).to.include({ longestErrorMs: 5 * MINUTE })
    expect(rateAddresses({ ...failed, code: 'OURS' })).to.include({
      firstErrorMs: 1000,
      longestErrorMs: 1000,
    })
    expect(rateWellKnown({ kind: 'failed', arrived: true, why: '' })).to.include({ longestErrorMs: HOUR })
  })
})
