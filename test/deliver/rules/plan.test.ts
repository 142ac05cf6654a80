import { expect } from 'chai'
import type { Acknowledges, Look, OwedPdu, Reading } from '../../../src/deliver/lanes/lane.ts'
import { planTransaction } from '../../../src/deliver/rules/plan.ts'

const NOW = 1_000_000
const LIMITS = { maxPdus: 50, maxBytes: 1_000_000 }

const pdu = (pos: number, size = 2): OwedPdu => ({
  pos,
  eventId: `$${pos}`,
  pdu: 'x'.repeat(size),
  sticky: false,
  receivedTs: 0,
})
const sticky = (pos: number, { expiresAt = NOW + 60_000, size = 2 } = {}) => ({
  ...pdu(pos, size),
  sticky: true,
  expiresAt,
})
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index)

interface Given extends Partial<Look> {
  sticky?: OwedPdu[]
  unlisted?: OwedPdu[]
  gapRooms?: OwedPdu[]
  timeline?: OwedPdu[]
  complete?: { sticky?: boolean; gapRooms: boolean; timeline: boolean }
}

const reading = ({
  sticky = [],
  unlisted = [],
  gapRooms = [],
  timeline = [],
  complete = { gapRooms: true, timeline: true },
  ...over
}: Given): Reading => ({
  ...{ now: NOW, position: 0, head: 1_000, gap: null, owed: [], unlistedAt: null },
  items: {
    replays: { pdus: sticky, all: complete.sticky ?? true },
    unlisted: { pdus: unlisted, all: true },
    gap: { pdus: gapRooms, all: complete.gapRooms },
    timeline: { pdus: timeline, all: complete.timeline },
  },
  ...over,
})
const gap = (over: Partial<NonNullable<Reading['gap']>> = {}) => ({
  id: 1,
  from: 0,
  to: 500,
  cursor: 0,
  batch: 50,
  ...over,
})
const JOIN = { room: 7, upto: 900, cursor: 0 }
const GAP_ROW = { room: null, upto: null, cursor: 0 }

/** What a plan sends, as `3t 5s`, and what it acknowledges. */
function plan(over: Given, limits = LIMITS) {
  const planned = planTransaction(reading(over), limits)
  const acknowledges: Acknowledges | null = planned.do === 'nothing' ? null : planned.acknowledges
  const sent = planned.do === 'send' ? planned.pdus.map(({ pdu, letter }) => `${pdu.pos}${letter}`) : []
  const lanes = { s: 0, t: 0, c: 0 }
  if (planned.do === 'send') for (const { letter } of planned.pdus) lanes[letter as 's' | 't' | 'c'] += 1
  const soonestLapse = planned.do === 'send' ? planned.soonestLapse : null
  return { do: planned.do, sent, lanes, acknowledges, soonestLapse }
}

describe('the timeline in a transaction', () => {
  it('nothing waits: nothing', () => {
    expect(plan({ position: 1_000 }).do).to.equal('nothing')
  })

  it('goes in stream order, and the position moves to the head where that was all', () => {
    const planned = plan({ timeline: [pdu(3), pdu(9)] })
    expect(planned.sent).to.deep.equal(['3t', '9t'])
    expect(planned.acknowledges?.position).to.equal(1_000)
  })

  it('where more was not read, the position moves to the last that goes', () => {
    const planned = plan({
      timeline: range(1, 51).map((pos) => pdu(pos)),
      complete: { sticky: true, gapRooms: true, timeline: false },
    })
    expect(planned.sent).to.have.length(50)
    expect(planned.acknowledges?.position).to.equal(50)
  })

  it('where the log held nothing for it, only the position moves', () => {
    const planned = plan({ position: 10 })
    expect(planned.do).to.equal('move')
    expect(planned.acknowledges?.position).to.equal(1_000)
  })

  it('never moves the position back', () => {
    expect(plan({ position: 2_000, timeline: [] }).do).to.equal('nothing')
    const planned = plan({ position: 2_000, owed: [JOIN], sticky: [sticky(4)] })
    expect(planned.acknowledges?.position).to.equal(2_000)
  })
})

describe('bytes in a transaction', () => {
  it('what does not fit waits, and nothing after it goes: a prefix is acknowledged', () => {
    const planned = plan({ timeline: [pdu(1, 40), pdu(2, 70), pdu(3, 10)] }, { maxPdus: 50, maxBytes: 100 })
    expect(planned.sent).to.deep.equal(['1t'])
    expect(planned.acknowledges?.position).to.equal(1)
  })

  it('commas count', () => {
    expect(plan({ timeline: [pdu(1, 49), pdu(2, 49)] }, { maxPdus: 50, maxBytes: 100 }).sent).to.have.length(
      2,
    )
    expect(plan({ timeline: [pdu(1, 49), pdu(2, 50)] }, { maxPdus: 50, maxBytes: 100 }).sent).to.have.length(
      1,
    )
  })

  it('bytes are counted, not characters', () => {
    const wide = { ...pdu(2), pdu: 'é'.repeat(40) }
    expect(plan({ timeline: [pdu(1, 30), wide] }, { maxPdus: 50, maxBytes: 100 }).sent).to.deep.equal(['1t'])
  })

  it('one that is too large alone goes alone', () => {
    expect(plan({ timeline: [pdu(1, 500), pdu(2)] }, { maxPdus: 50, maxBytes: 100 }).sent).to.deep.equal([
      '1t',
    ])
  })
})

describe('sticky replays in a transaction', () => {
  const many = range(101, 160).map((pos) => sticky(pos))

  it('have all 50 places where nothing else waits', () => {
    const planned = plan({ owed: [JOIN], sticky: many.slice(0, 51) })
    expect(planned.lanes).to.deep.equal({ s: 50, t: 0, c: 0 })
    expect(planned.acknowledges?.sticky).to.deep.equal([{ ...JOIN, cursor: 150 }])
  })

  it('have 40 of 50 where the timeline waits too, and the timeline has the rest', () => {
    const planned = plan({
      owed: [JOIN],
      sticky: many.slice(0, 51),
      timeline: range(1, 30).map((pos) => pdu(pos)),
    })
    expect(planned.lanes).to.deep.equal({ s: 40, t: 10, c: 0 })
    expect(planned.acknowledges).to.deep.include({ position: 10, sticky: [{ ...JOIN, cursor: 140 }] })
  })

  it('leave unused places to the timeline', () => {
    const planned = plan({
      owed: [JOIN],
      sticky: many.slice(0, 5),
      timeline: range(1, 51).map((pos) => pdu(pos)),
    })
    expect(planned.lanes).to.deep.equal({ s: 5, t: 45, c: 0 })
  })

  it('have all places before a gap', () => {
    const planned = plan({
      owed: [GAP_ROW],
      gap: gap(),
      sticky: many.slice(0, 51),
      gapRooms: [pdu(1), pdu(2)],
      timeline: [pdu(600)],
    })
    expect(planned.lanes).to.deep.equal({ s: 50, t: 0, c: 0 })
    expect(planned.acknowledges).to.deep.include({ gapCursor: null, closesGap: false })
  })

  it('are put into stream order with the rest', () => {
    const planned = plan({ owed: [JOIN], sticky: [sticky(4), sticky(9)], timeline: [pdu(2), pdu(6)] })
    expect(planned.sent).to.deep.equal(['2t', '4s', '6t', '9s'])
  })

  it('go once where they wait in the timeline too, and that waits for nothing else', () => {
    const both = range(1, 45).map((pos) => sticky(pos))
    const planned = plan({ owed: [JOIN], sticky: both, timeline: both })
    expect(planned.lanes).to.deep.equal({ s: 45, t: 0, c: 0 })
    expect(planned.acknowledges?.position).to.equal(1_000)
  })

  it('lapse at the very millisecond: one before it they go', () => {
    expect(
      plan({ position: 1_000, owed: [JOIN], sticky: [sticky(4, { expiresAt: NOW + 1 })] }).sent,
    ).to.deep.equal(['4s'])
    expect(plan({ position: 1_000, owed: [JOIN], sticky: [sticky(4, { expiresAt: NOW })] }).do).to.equal(
      'nothing',
    )
  })

  it('that lapsed still go as ordinary events of the timeline', () => {
    const lapsed = sticky(4, { expiresAt: NOW })
    const planned = plan({ owed: [JOIN], sticky: [lapsed], timeline: [lapsed] })
    expect(planned.sent).to.deep.equal(['4t'])
    expect(planned.soonestLapse).to.equal(null)
  })

  it('say when the first of them lapses; those of the timeline do not count', () => {
    const planned = plan({
      owed: [JOIN],
      sticky: [sticky(4, { expiresAt: NOW + 90 }), sticky(5, { expiresAt: NOW + 30 })],
      timeline: [sticky(6, { expiresAt: NOW + 10 })],
    })
    expect(planned.soonestLapse).to.equal(NOW + 30)
  })

  it('move each row as far as they went, and no further than the row reaches', () => {
    const rows = [
      { room: 1, upto: 120, cursor: 0 },
      { room: 2, upto: 900, cursor: 100 },
      { room: 3, upto: 900, cursor: 700 },
    ]
    const planned = plan({ position: 1_000, owed: rows, sticky: [sticky(110), sticky(130)] })
    expect(planned.acknowledges?.sticky).to.deep.equal([
      { room: 1, upto: 120, cursor: 120 },
      { room: 2, upto: 900, cursor: 130 },
    ])
  })

  it('that do not fit by their bytes are not passed over', () => {
    const planned = plan(
      {
        position: 1_000,
        owed: [JOIN],
        sticky: [sticky(1, { size: 60 }), sticky(2, { size: 60 }), sticky(3)],
      },
      { maxPdus: 50, maxBytes: 100 },
    )
    expect(planned.sent).to.deep.equal(['1s'])
    expect(planned.acknowledges?.sticky).to.deep.equal([{ ...JOIN, cursor: 1 }])
  })
})

describe('what an answer did not list', () => {
  it('goes beside everything else, and moves no cursor', () => {
    const planned = plan({ position: 900, unlisted: [sticky(4)], timeline: [pdu(950)] })
    expect(planned.sent).to.deep.equal(['4s', '950t'])
    expect(planned.acknowledges?.sticky).to.deep.equal([])
  })

  it('comes after the replays that are owed, and never takes their places', () => {
    const owed = range(101, 150).map((pos) => sticky(pos))
    const planned = plan({ position: 1_000, owed: [JOIN], sticky: owed, unlisted: [sticky(4)] })
    expect(planned.sent).not.to.include('4s')
    expect(planned.sent).to.have.length(50)
  })

  it('leaves the timeline its ten places', () => {
    const planned = plan({
      unlisted: range(101, 150).map((pos) => sticky(pos)),
      timeline: range(1, 20).map((pos) => pdu(pos)),
    })
    expect(planned.lanes).to.deep.equal({ s: 40, t: 10, c: 0 })
  })

  it('is dropped once it lapsed', () => {
    expect(plan({ position: 1_000, unlisted: [sticky(4, { expiresAt: NOW })] }).do).to.equal('nothing')
  })
})

describe('an odd event', () => {
  const odd = (pos: number): OwedPdu => ({ ...pdu(pos), odd: true })

  it('goes alone, and what is behind it waits', () => {
    const cut = plan({ timeline: [pdu(1), odd(2), pdu(3)] })
    expect(cut.sent).to.deep.equal(['1t'])
    expect(cut.acknowledges?.position).to.equal(1)
    const alone = plan({ timeline: [odd(2), pdu(3)], position: 1 })
    expect(alone.sent).to.deep.equal(['2t'])
    expect(alone.acknowledges?.position).to.equal(2)
  })

  it('is not joined by another lane, nor joins one', () => {
    expect(
      plan({ owed: [JOIN], sticky: [{ ...sticky(2), odd: true }], timeline: [pdu(9)] }).sent,
    ).to.deep.equal(['2s'])
    expect(plan({ owed: [JOIN], sticky: [sticky(2)], timeline: [odd(9), pdu(10)] }).sent).to.deep.equal([
      '2s',
    ])
    expect(plan({ gap: gap(), gapRooms: [pdu(3), odd(5)] }).sent).to.deep.equal(['3c'])
  })
})

describe('a gap', () => {
  it('goes by its batch, oldest first', () => {
    const planned = plan({ gap: gap({ batch: 2 }), gapRooms: [pdu(3), pdu(5), pdu(8)] })
    expect(planned.sent).to.deep.equal(['3c', '5c'])
    expect(planned.acknowledges).to.deep.include({ position: 0, gapCursor: 5, closesGap: false })
  })

  it('closes with its last room, and only then the position moves: to its end', () => {
    const planned = plan({ gap: gap({ batch: 3 }), gapRooms: [pdu(3), pdu(5), pdu(8)] })
    expect(planned.acknowledges).to.deep.include({ position: 500, gapCursor: 500, closesGap: true })
  })

  it('does not close where more rooms may be left than were read', () => {
    const planned = plan({
      gap: gap(),
      gapRooms: [pdu(3)],
      complete: { sticky: true, gapRooms: false, timeline: true },
    })
    expect(planned.acknowledges).to.deep.include({ position: 0, gapCursor: 3, closesGap: false })
  })

  it('does not close, nor goes on, where more sticky events may be left than were read', () => {
    const planned = plan({
      ...{ gap: gap(), owed: [GAP_ROW], sticky: [sticky(4)], gapRooms: [pdu(9)] },
      complete: { sticky: false, gapRooms: true, timeline: true },
    })
    expect(planned.sent).to.deep.equal(['4s'])
    expect(planned.acknowledges).to.deep.include({ position: 0, gapCursor: null, closesGap: false })
  })

  it('that owes nothing closes without a transaction', () => {
    const planned = plan({ gap: gap() })
    expect(planned.do).to.equal('move')
    expect(planned.acknowledges).to.deep.include({ position: 500, closesGap: true })
  })

  it('does not close while one of its sticky events is left, which would be forgotten with it', () => {
    const planned = plan(
      { gap: gap(), owed: [GAP_ROW], sticky: [sticky(1, { size: 60 }), sticky(2, { size: 60 })] },
      { maxPdus: 50, maxBytes: 100 },
    )
    expect(planned.sent).to.deep.equal(['1s'])
    expect(planned.acknowledges).to.deep.include({ closesGap: false, position: 0 })
  })

  it('counts no room whose newest goes as a replay anyway', () => {
    const planned = plan({
      gap: gap({ batch: 1 }),
      owed: [GAP_ROW],
      sticky: [sticky(3)],
      gapRooms: [sticky(3), pdu(5), pdu(8)],
    })
    expect(planned.sent).to.deep.equal(['3s', '5c'])
    expect(planned.acknowledges).to.deep.include({ gapCursor: 5, closesGap: false })
  })

  it('takes replays from beyond it along: a short one must not wait for 3,000 rooms', () => {
    const planned = plan({
      gap: gap({ batch: 1 }),
      owed: [GAP_ROW],
      sticky: [sticky(700)],
      gapRooms: [pdu(3), pdu(5)],
    })
    expect(planned.sent).to.deep.equal(['3c', '700s'])
    expect(planned.acknowledges?.sticky).to.deep.equal([{ ...GAP_ROW, cursor: 700 }])
  })

  // Found by the model: a rejoin owed five large events, of which four fitted, and a small one of the gap went with them.
  it('lets nothing smaller slip in before a replay that did not fit', () => {
    const owed = [GAP_ROW, JOIN]
    const large = { size: 30 }
    const over = { gap: gap(), owed, sticky: [sticky(2, large), sticky(3, large)], gapRooms: [pdu(13)] }
    const planned = plan(over, { maxPdus: 50, maxBytes: 40 })
    expect(planned.sent).to.deep.equal(['2s'])
    expect(planned.acknowledges).to.include({ gapCursor: null, closesGap: false })
  })

  it('takes nothing of the timeline', () => {
    expect(plan({ gap: gap(), gapRooms: [pdu(3)], timeline: [pdu(600)] }).sent).to.deep.equal(['3c'])
  })
})
