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

  it('may get more places, which those who wait take in their order, and fewer, which nobody has to leave', async () => {
    const gate = makeGate(1)
    const inside: string[] = []
    const leave = new Map<string, () => void>()
    const come = (name: string) =>
      void gate.enter().then((left) => {
        if (left === null) return
        inside.push(name)
        leave.set(name, left)
      })
    const settled = () => new Promise((resolve) => setImmediate(resolve))
    for (const name of ['a', 'b', 'c', 'd', 'e']) come(name)
    await settled()
    expect(inside).to.deep.equal(['a'])
    gate.resize(3)
    await settled()
    expect(inside).to.deep.equal(['a', 'b', 'c'])
    gate.resize(1)
    leave.get('a')?.()
    leave.get('b')?.()
    await settled()
    expect(inside, 'three left, of whom one may stay').to.deep.equal(['a', 'b', 'c'])
    expect(gate.take()).to.equal(null)
    leave.get('c')?.()
    await settled()
    expect(inside).to.deep.equal(['a', 'b', 'c', 'd'])
    gate.resize(2)
    await settled()
    expect(inside).to.deep.equal(['a', 'b', 'c', 'd', 'e'])
    expect(gate.take()).to.equal(null)
  })
})
