import { expect } from 'chai'
import { descriptorLimit, shareDescriptors } from '../../src/daemon/descriptors.ts'

describe('descriptors', () => {
  const wished = { door: 1000, concurrency: 512, idle: 1000, lookups: 640, discoveries: 1024 }

  it('are shared so that the door and the federation stay below the limit together', () => {
    for (let limit = 140; limit < 5000; limit += 7) {
      const shares = shareDescriptors(limit, wished, { sends: true })
      const { door, concurrency, idle, lookups, discoveries } = shares
      expect(door + concurrency + idle + lookups + discoveries, `${limit}`).to.be.at.most(limit - 90)
      expect(Math.min(door, concurrency, lookups, discoveries)).to.be.at.least(8)
    }
    expect(shareDescriptors(256, wished, { sends: true })).to.deep.equal({
      door: 40,
      concurrency: 57,
      idle: 20,
      lookups: 24,
      discoveries: 19,
    })
    expect(shareDescriptors(256, wished, { sends: false }).door).to.equal(160)
  })

  it('are as wished where there are enough, or nobody knows', () => {
    for (const limit of [10_000, 1_048_576, null])
      expect(shareDescriptors(limit, wished, { sends: true })).to.deep.equal(wished)
  })

  it('of this process are a number', () => {
    expect(descriptorLimit()).to.be.greaterThan(100)
  })
})
