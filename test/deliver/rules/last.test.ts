/** What goes after everything else, and until when (contract 5.9). */
import { expect } from 'chai'
import { cameAfter } from '../../../src/deliver/rules/last.ts'
import type { OwedPdu, Reading } from '../../../src/deliver/lanes/lane.ts'

const pdu = (pos: number, receivedTs: number): OwedPdu => ({
  ...{ pos, receivedTs, eventId: `$${pos}`, pdu: '{}', sticky: false },
})
const reading = (lanes: Record<string, OwedPdu[]>): Reading => ({
  ...{ now: 1_000, position: 0, head: 9, gap: null, owed: [], unlistedAt: null },
  items: Object.fromEntries(Object.entries(lanes).map(([name, pdus]) => [name, { pdus, all: true }])),
})

describe('what goes last', () => {
  it('waits for what came before it was taken out, and for nothing that came later', () => {
    expect(cameAfter(reading({ timeline: [pdu(3, 150)] }), 200)).to.equal(false)
    expect(cameAfter(reading({ timeline: [pdu(3, 250)] }), 200)).to.equal(true)
    expect(cameAfter(reading({ timeline: [pdu(3, 250)] }), null)).to.equal(false)
  })

  it('waits for all lanes, also where one that came later goes before them alone', () => {
    expect(cameAfter(reading({ replays: [pdu(6, 250)], timeline: [pdu(5, 150)] }), 200)).to.equal(false)
    expect(cameAfter(reading({ replays: [pdu(6, 250)], timeline: [pdu(5, 250)] }), 200)).to.equal(true)
  })
})
