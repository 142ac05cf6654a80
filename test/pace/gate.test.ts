import { expect } from 'chai'
import { makeGate } from '../../src/pace/gate.ts'

describe('the gate', () => {
  it('lets in so many at once, the others in their order, and survives work that fails', async () => {
    const gate = makeGate(2)
    const log: string[] = []
    const ends: (() => void)[] = []
    const work = (name: string) =>
      gate.within(async () => {
        log.push(`in ${name}`)
        await new Promise<void>((end) => ends.push(end))
        log.push(`out ${name}`)
        if (name === 'b') throw new Error('b fails')
      })
    const all = Promise.allSettled(['a', 'b', 'c', 'd'].map(work))
    await Promise.resolve()
    expect(log).to.deep.equal(['in a', 'in b'])
    for (let n = 0; n < 4; n += 1) {
      ends[n]!()
      await new Promise((resolve) => setImmediate(resolve))
    }
    await all
    expect(log).to.deep.equal(['in a', 'in b', 'out a', 'in c', 'out b', 'in d', 'out c', 'out d'])
  })
})
