import { expect } from 'chai'
import { makeHandshakeGate } from '../../src/wire/handshake-gate.ts'
import { until } from '../support/poll.ts'

const patient = new AbortController().signal

describe('the handshake gate', () => {
  it('lets so many in and the next when one leaves, in the order in which they came', async () => {
    const gate = makeHandshakeGate({ atOnce: 2, slotMs: 60_000 })
    const entered: number[] = []
    const leaves = [await gate.enter(patient), await gate.enter(patient)]
    const waiting = [1, 2].map(async (n) => {
      const leave = await gate.enter(patient)
      entered.push(n)
      return leave
    })
    await Promise.resolve()
    expect(entered).to.deep.equal([])
    leaves[0]?.()
    leaves[0]?.() // Leaving twice frees one place.
    leaves.push(await waiting[0]!)
    expect(entered).to.deep.equal([1])
    expect(gate.inside).to.equal(2)
    leaves[1]?.()
    leaves.push(await waiting[1]!)
    for (const leave of leaves) leave?.()
    expect(gate.inside).to.equal(0)
  })

  it('takes a place back after its time', async () => {
    const gate = makeHandshakeGate({ atOnce: 1, slotMs: 30 })
    const first = await gate.enter(patient)
    const second = await gate.enter(patient)
    expect(gate.inside).to.equal(1)
    first?.() // Too late to matter: the place is the second one's.
    expect(gate.inside).to.equal(1)
    second?.()
    expect(gate.inside).to.equal(0)
  })

  it('lets go who stops waiting, and nobody behind is forgotten', async () => {
    const gate = makeHandshakeGate({ atOnce: 1, slotMs: 60_000 })
    const abort = new AbortController()
    const inside = await gate.enter(patient)
    const impatient = gate.enter(abort.signal)
    const behind = gate.enter(patient)
    abort.abort()
    expect(await impatient).to.equal(null)
    expect(await gate.enter(AbortSignal.abort())).to.equal(null)
    inside?.()
    const leave = await behind
    expect(leave).to.be.a('function')
    leave?.()
    await until(() => gate.inside === 0, { what: 'the gate to be empty' })
  })
})
