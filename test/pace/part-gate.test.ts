import { expect } from 'chai'
import { makePartGate, type Part } from '../../src/pace/part-gate.ts'

describe('the gate with a share', () => {
  const settled = () => new Promise((resolve) => setImmediate(resolve))

  function stage(limits: { all: number; recovering: number }) {
    const gate = makePartGate(limits)
    const inside: string[] = []
    const leave = new Map<string, () => void>()
    const come = (name: string, part: Part, signal?: AbortSignal) =>
      void gate.enter(part, signal).then((left) => {
        inside.push(left === null ? `${name} gave up` : name)
        if (left !== null) leave.set(name, left)
      })
    const leaves = async (name: string) => {
      leave.get(name)?.()
      await settled()
    }
    return { gate, inside, come, leaves }
  }

  it('lets in no more of the share than it has, however many are free, and the others past them', async () => {
    const { gate, inside, come, leaves } = stage({ all: 3, recovering: 1 })
    come('r1', 'recovering')
    come('r2', 'recovering')
    come('q1', 'quick')
    come('q2', 'quick')
    come('q3', 'quick')
    await settled()
    expect(inside).to.deep.equal(['r1', 'q1', 'q2'])
    expect(gate.take('quick')).to.equal(null)
    expect([gate.held('quick'), gate.held('recovering')]).to.deep.equal([2, 1])
    expect(gate.waiting(), 'r2 may have none').to.equal(1)
    await leaves('q1')
    expect(inside).to.deep.equal(['r1', 'q1', 'q2', 'q3'])
    await leaves('r1')
    expect(inside.at(-1)).to.equal('r2')
    expect(gate.waiting()).to.equal(0)
  })

  it('keeps the order of arrival between the two where both may go in', async () => {
    const { gate, inside, come, leaves } = stage({ all: 2, recovering: 2 })
    for (const [name, part] of [
      ['q1', 'quick'],
      ['r1', 'recovering'],
      ['r2', 'recovering'],
      ['q2', 'quick'],
    ] as const)
      come(name, part)
    await settled()
    expect(gate.waiting(), 'r2 may have one').to.equal(2)
    await leaves('r1')
    await leaves('q1')
    expect(inside).to.deep.equal(['q1', 'r1', 'r2', 'q2'])
  })

  it('forgets who gives up, and who asks too late', async () => {
    const { gate, inside, come, leaves } = stage({ all: 1, recovering: 1 })
    const ending = new AbortController()
    come('q1', 'quick')
    come('q2', 'quick', ending.signal)
    await settled()
    ending.abort()
    come('q3', 'quick', ending.signal)
    await settled()
    expect(inside).to.deep.equal(['q1', 'q2 gave up', 'q3 gave up'])
    await leaves('q1')
    expect([gate.held('quick'), gate.waiting()]).to.deep.equal([0, 0])
  })

  it('may get more places, which those who wait take, and fewer, which nobody has to leave', async () => {
    const { gate, inside, come, leaves } = stage({ all: 1, recovering: 1 })
    for (const name of ['r1', 'r2', 'r3']) come(name, 'recovering')
    await settled()
    gate.resize({ all: 3, recovering: 2 })
    await settled()
    expect(inside).to.deep.equal(['r1', 'r2'])
    gate.resize({ all: 1, recovering: 1 })
    await leaves('r1')
    expect(inside, 'one too many is left').to.deep.equal(['r1', 'r2'])
    await leaves('r2')
    expect(inside).to.deep.equal(['r1', 'r2', 'r3'])
    expect(gate.limits()).to.deep.equal({ all: 1, recovering: 1 })
  })
})
