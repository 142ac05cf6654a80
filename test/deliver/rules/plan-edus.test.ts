import { expect } from 'chai'
import { planEdus } from '../../../src/deliver/rules/plan-edus.ts'
import type { EdusToPlan } from '../../../src/deliver/rules/edus-to-plan.ts'
import type { StoredEdu } from '../../../src/store/delivery/edus.ts'
import { packEdus } from '../../../src/matrix/edus/pack.ts'
import {
  deviceListPart,
  laneOf,
  NOW,
  part,
  presencePart,
  receiptPart,
  toDevicePart,
  toPlan,
  typingPart,
} from './edu-parts.ts'

const LIMITS = { maxEdus: 100, maxBytes: 4_194_304 }
const WAITING = { wait: true, sticky: false, bytesLeft: 4_194_304 }
const many = <T>(n: number, make: (i: number) => T): T[] => Array.from({ length: n }, (_, i) => make(i + 1))
const positions = (edus: readonly StoredEdu[]) => edus.map(({ pos }) => pos)
const big = (pos: number, bytes: number) => toDevicePart(pos, { content: `"${'x'.repeat(bytes - 2)}"` })
const plan = (change: Partial<EdusToPlan>, limits = LIMITS) => {
  const { durable, ephemeral, ...rest } = planEdus(toPlan(change), limits)
  return { ...rest, durable: positions(durable), ephemeral: positions(ephemeral) }
}

describe('the EDUs of the next transaction', () => {
  it('are all that wait, where that is little; then all that was read is done with', () => {
    const result = plan({
      durable: laneOf([toDevicePart(1), deviceListPart(4, '@a:b')], { upto: 9_000 }),
      ephemeral: laneOf([typingPart(2, '@a:b', true), receiptPart(3, '@a:b', null)], { upto: 8_000 }),
    })
    expect(result).to.deep.include({
      durable: [1, 4],
      ephemeral: [2, 3],
      edus: 4,
      cursors: { durable: 9_000, ephemeral: 8_000 },
      leftOut: [],
      alone: false,
      notBefore: null,
    })
    expect(plan({})).to.deep.include({
      edus: 0,
      cursors: { durable: 10_000, ephemeral: 10_000 },
      notBefore: null,
    })
  })

  it('leave out what is over, replaced, collapsed or switched off, and count it once it is passed', () => {
    const result = plan({
      durable: laneOf([...many(25, (i) => deviceListPart(i, '@a:b')), toDevicePart(30)]),
      ephemeral: laneOf([
        typingPart(31, '@a:b', true),
        typingPart(32, '@c:b', true, { expiresAt: NOW }),
        presencePart(33, '@a:b'),
        typingPart(34, '@a:b', false),
      ]),
      off: new Set(['m.presence']),
    })
    expect(result.durable).to.deep.equal([25, 30])
    expect(result.ephemeral).to.deep.equal([34])
    expect(result.leftOut).to.deep.equal([
      { eduType: 'm.device_list_update', why: 'collapsed', count: 24 },
      { eduType: 'm.typing', why: 'replaced', count: 1 },
      { eduType: 'm.typing', why: 'expired', count: 1 },
      { eduType: 'm.presence', why: 'switched off', count: 1 },
    ])
    const [cut, passed] = [
      many(101, (i) => toDevicePart(i)),
      many(30, (i) => deviceListPart(101 + i, '@a:b')),
    ]
    expect(plan({ durable: laneOf([...cut, ...passed]) })).to.deep.include({
      leftOut: [],
      cursors: { durable: 100, ephemeral: 10_000 },
    })
  })

  it('are at most 100 as packed, and of ephemeral ones 20 while durable ones wait', () => {
    const odd = (from: number) => many(200, (i) => part(from + i))
    const both = plan({ durable: laneOf(many(300, (i) => toDevicePart(i))), ephemeral: laneOf(odd(300)) })
    expect([both.durable.length, both.ephemeral.length, both.edus]).to.deep.equal([80, 20, 100])
    expect(both.cursors).to.deep.equal({ durable: 80, ephemeral: 320 })
    const few = plan({ durable: laneOf(many(3, (i) => toDevicePart(i))), ephemeral: laneOf(odd(300)) })
    expect([few.durable.length, few.ephemeral.length]).to.deep.equal([3, 97])
    const unread = plan({ durable: laneOf([toDevicePart(1)], { upto: 9 }), ephemeral: laneOf(odd(300)) })
    expect([unread.durable.length, unread.ephemeral.length]).to.deep.equal([1, 20])
    const idle = plan({
      durable: laneOf(many(300, (i) => toDevicePart(i))),
      ephemeral: laneOf([receiptPart(400, '@a:b', null)]),
    })
    expect([idle.durable.length, idle.ephemeral.length]).to.deep.equal([99, 1])
    const packed = plan({
      durable: laneOf(many(300, (i) => toDevicePart(i))),
      ephemeral: laneOf([
        ...many(900, (i) => presencePart(300 + i, `@u${i}:b`)),
        ...many(500, (i) => receiptPart(1_200 + i, `@u${i}:b`, null)),
      ]),
    })
    expect([packed.durable.length, packed.ephemeral.length, packed.edus]).to.deep.equal([81, 1_400, 100])
  })

  it('are durable ones up to half of the body while PDUs wait, else all of it', () => {
    const durable = laneOf(many(100, (i) => big(i, 60_000)))
    const beside = plan({ durable, pdus: WAITING })
    expect(beside.durable).to.have.length(34)
    expect(beside.bytes).to.be.at.most(2_097_152)
    expect(plan({ durable }).durable).to.have.length(69)
    expect(plan({ durable, pdus: { ...WAITING, bytesLeft: 200_000 } }).durable).to.have.length(3)
    const ephemeral = laneOf(many(100, (i) => ({ ...big(200 + i, 60_000), durable: false })))
    const room = plan({ durable, ephemeral })
    expect(room.bytes).to.be.at.most(4_194_304)
    expect([room.durable.length, room.ephemeral.length]).to.deep.equal([56, 13])
  })

  it('are the first durable one, whatever is kept for the others', () => {
    const ephemeral = laneOf([{ ...big(2, 15_000), durable: false }])
    const limits = { maxEdus: 100, maxBytes: 100_000 }
    const result = plan({ durable: laneOf([big(1, 90_000)]), ephemeral }, limits)
    expect(result).to.deep.include({ durable: [1], ephemeral: [], alone: false })
  })

  it('collapse device lists alone: to-device messages with one id all go', () => {
    const durable = laneOf(many(30, (i) => toDevicePart(i, { who: 'm' })))
    expect(plan({ durable }).durable).to.have.length(30)
  })

  it('of two threads of one user are in two EDUs, the one without a thread last', () => {
    const { ephemeral } = planEdus(
      toPlan({
        ephemeral: laneOf([
          receiptPart(1, '@a:b', null),
          receiptPart(2, '@a:b', '$one'),
          receiptPart(3, '@a:b', '$two'),
          receiptPart(4, '@c:b', '$one'),
        ]),
      }),
      LIMITS,
    )
    const packing = packEdus()
    for (const edu of ephemeral) packing.join({ ...edu, content: edu.content! })
    const texts = packing.texts(NOW)
    expect(texts).to.have.length(3)
    expect(texts.map((text) => /\$one|\$two|\{"ts"/.exec(text)?.[0])).to.deep.equal(['$one', '$two', '{"ts"'])
  })

  it('say at last that someone has stopped typing', () => {
    const ephemeral = laneOf([
      typingPart(1, '@a:b', false, { expiresAt: NOW + 120_000 }),
      typingPart(2, '@c:b', true),
    ])
    expect(plan({ ephemeral }).ephemeral).to.deep.equal([1, 2])
  })

  describe('that are alone', () => {
    const alone = big(2, 500_000)
    const first = { ...alone, alone: true }

    it('have a transaction to themselves, when what is before them has gone', () => {
      const durable = [toDevicePart(1), first, toDevicePart(3)]
      const before = plan({ durable: laneOf(durable), pdus: WAITING })
      expect(before).to.deep.include({ durable: [1], alone: false })
      expect(before.cursors.durable).to.equal(1)
      const result = plan({
        durable: laneOf(durable.slice(1)),
        ephemeral: laneOf([typingPart(5, '@a:b', true)]),
        pdus: WAITING,
      })
      expect(result).to.deep.include({ durable: [2], ephemeral: [], alone: true, edus: 1 })
      expect(result.cursors).to.deep.equal({ durable: 2, ephemeral: 0 })
    })

    it('come after owed sticky events, and while PDUs wait not twice in a row', () => {
      const durable = laneOf([first, { ...first, pos: 3 }])
      const ephemeral = laneOf([typingPart(5, '@a:b', true)])
      const sticky = plan({ durable, ephemeral, pdus: { ...WAITING, sticky: true } })
      expect(sticky).to.deep.include({ durable: [], ephemeral: [5], alone: false })
      const second = plan({ durable, ephemeral, pdus: WAITING, lastWasAlone: true })
      expect(second).to.deep.include({ durable: [], ephemeral: [5], alone: false })
      const nothing = plan({ durable, pdus: WAITING, lastWasAlone: true })
      expect(nothing).to.deep.include({ durable: [], alone: false })
      expect(plan({ durable, lastWasAlone: true })).to.deep.include({ durable: [2], alone: true })
      // Nor before what of the other lane could go.
      expect(plan({ durable, ephemeral, lastWasAlone: true })).to.deep.include({ ephemeral: [5] })
    })

    it('are those, too, that are larger than what their lane has of a body', () => {
      const limits = { maxEdus: 100, maxBytes: 100_000 }
      const pdus = { wait: true, sticky: false, bytesLeft: 100_000 }
      const durable = laneOf([big(1, 60_000), toDevicePart(2)])
      expect(plan({ durable, pdus }, limits)).to.deep.include({ durable: [1], alone: true })
      expect(plan({ durable }, limits)).to.deep.include({ durable: [1, 2], alone: false })
      expect(plan({ durable, pdus: { ...pdus, bytesLeft: 100 } }, limits)).to.deep.include({ durable: [1] })
      const little = plan({ durable: laneOf([toDevicePart(2)]), pdus: { ...pdus, bytesLeft: 10 } }, limits)
      expect(little).to.deep.include({ durable: [], alone: false })
    })

    it('of ephemeral ones hold up nothing else, and take turns with it', () => {
      const ephemeral = laneOf([{ ...first, durable: false, pos: 9 }])
      const durable = laneOf([toDevicePart(1)])
      expect(plan({ ephemeral, durable })).to.deep.include({ ephemeral: [9], durable: [], alone: true })
      expect(plan({ ephemeral, durable, lastWasAlone: true })).to.deep.include({ durable: [1], alone: false })
      const both = { ephemeral, durable: laneOf([first]) }
      expect(plan(both)).to.deep.include({ durable: [2], ephemeral: [] })
      expect(plan({ ...both, lastWasAlone: true })).to.deep.include({ durable: [], ephemeral: [9] })
      const presenceAlone = laneOf([{ ...presencePart(9, '@a:b'), alone: true }])
      expect(plan({ ephemeral: presenceAlone })).to.deep.include({ ephemeral: [9], notBefore: null })
      const soon = { ephemeral, lastEphemeralAt: NOW - 400 }
      expect(plan({ ...soon, durable })).to.deep.include({ durable: [1], alone: false, notBefore: null })
      expect(plan(soon)).to.deep.include({ ephemeral: [9], alone: true, notBefore: NOW + 600 })
    })
  })

  describe('that are ephemeral and kept out', () => {
    const LONG = NOW - 10_000
    const large = { ...big(7, 60_000), durable: false, receivedTs: LONG }
    const small = typingPart(8, '@a:b', true, { receivedTs: LONG })
    const limits = { maxEdus: 100, maxBytes: 100_000 }
    const full = { wait: true, sticky: false, bytesLeft: 30_000 }
    const ephemeral = laneOf([large, small])

    it('by PDUs get a body of their own after ten seconds, as many as it holds, and not twice in a row', () => {
      const result = plan({ ephemeral, pdus: full }, limits)
      expect(result).to.deep.include({ ephemeral: [7, 8], alone: true, notBefore: null })
      expect(result.cursors.ephemeral).to.equal(10_000)
      const more = laneOf([large, small, { ...large, pos: 9 }])
      expect(plan({ ephemeral: more, pdus: full }, limits)).to.deep.include({
        ephemeral: [7, 8],
        alone: true,
      })
      for (const change of [{ lastWasAlone: true }, { now: NOW - 1 }, { pdus: { ...full, sticky: true } }])
        expect(plan({ ephemeral, pdus: full, ...change }, limits), JSON.stringify(change)).to.deep.include({
          ...{ ephemeral: [], alone: false, cursors: { durable: 10_000, ephemeral: 0 } },
        })
      // The clock was set back since: it would wait for as long as that.
      const ahead = laneOf([{ ...large, receivedTs: NOW + 1e9 }])
      expect(plan({ ephemeral: ahead, pdus: full }, limits)).to.deep.include({ ephemeral: [7], alone: true })
    })

    it('by durable ones as well; those go in the next', () => {
      const durable = laneOf(many(4, (i) => big(i, 40_000)))
      const kept = { durable: [], ephemeral: [7, 8], alone: true }
      expect(plan({ durable, ephemeral }, limits)).to.deep.include(kept)
      const next = plan({ durable, ephemeral, lastWasAlone: true }, limits)
      expect(next).to.deep.include({ durable: [1, 2], ephemeral: [], alone: false })
    })

    it('go beside the others where they have a place, however long they waited', () => {
      const roomy = { ...full, bytesLeft: 70_000 }
      expect(plan({ ephemeral, pdus: roomy }, limits)).to.deep.include({ ephemeral: [7, 8], alone: false })
      const first = laneOf([{ ...small, pos: 6 }, large])
      expect(plan({ ephemeral: first, pdus: full }, limits)).to.deep.include({ ephemeral: [6], alone: false })
    })

    it('go in time while bodies are full for ever', () => {
      const queue = [large, small, ...many(5, (i) => ({ ...large, pos: 10 + i }))]
      const sent: number[][] = []
      let lastWasAlone = false
      let lane = laneOf(queue)
      for (let transactions = 0; transactions < 14; transactions += 1) {
        const {
          cursors,
          ephemeral: some,
          alone,
        } = plan({ ephemeral: lane, pdus: full, lastWasAlone }, limits)
        sent.push(some)
        lastWasAlone = alone
        lane = laneOf(
          queue.filter(({ pos }) => pos > cursors.ephemeral),
          { cursor: cursors.ephemeral },
        )
      }
      expect(sent.flat()).to.deep.equal(queue.map(({ pos }) => pos))
      // Each time something else has the next body.
      expect(sent.some((some, i) => some.length > 0 && (sent[i + 1]?.length ?? 0) > 0)).to.equal(false)
    })
  })

  describe('for a destination that has failed for long', () => {
    it('are durable ones only: the other cursor goes to the head', () => {
      const result = plan({
        longOutage: true,
        durable: laneOf([toDevicePart(1)]),
        ephemeral: laneOf([typingPart(2, '@a:b', true), receiptPart(3, '@a:b', null)], { upto: 9 }),
      })
      expect(result).to.deep.include({ durable: [1], ephemeral: [] })
      expect(result.cursors.ephemeral).to.equal(10_000)
      expect(result.leftOut).to.deep.equal([
        { eduType: 'm.typing', why: 'outage', count: 1 },
        { eduType: 'm.receipt', why: 'outage', count: 1 },
      ])
      const unread = plan({ longOutage: true, ephemeral: laneOf([], { upto: 0 }) })
      expect(unread.cursors.ephemeral).to.equal(10_000)
    })
  })

  describe('where only ephemeral ones go', () => {
    const ephemeral = laneOf([typingPart(1, '@a:b', true)])

    it('wait until a second after the last such transaction', () => {
      expect(plan({ ephemeral, lastEphemeralAt: NOW - 400 }).notBefore).to.equal(NOW + 600)
      expect(plan({ ephemeral, lastEphemeralAt: NOW - 1_000 }).notBefore).to.equal(null)
      expect(plan({ ephemeral, lastEphemeralAt: null }).notBefore).to.equal(null)
      const withOne = { durable: laneOf([toDevicePart(2)]), lastEphemeralAt: NOW }
      expect(plan({ ephemeral, ...withOne }).notBefore).to.equal(null)
      expect(plan({ ephemeral, lastEphemeralAt: NOW + 20 }).notBefore).to.equal(NOW + 1_000)
      // The clock was set back since: it would wait anew each time.
      expect(plan({ ephemeral, lastEphemeralAt: NOW + 1e9 }).notBefore).to.equal(null)
      expect(plan({ lastEphemeralAt: NOW }).notBefore, 'nothing goes').to.equal(null)
    })

    it('wait for company where that is presence alone, ten seconds from the first change on', () => {
      const of = (...edus: StoredEdu[]) => plan({ ephemeral: laneOf(edus) }).notBefore
      expect(of(presencePart(1, '@a:b', { receivedTs: NOW - 4_000 }))).to.equal(NOW + 6_000)
      expect(of(presencePart(1, '@a:b', { receivedTs: NOW - 10_000 }))).to.equal(null)
      const changes = [presencePart(1, '@a:b', { receivedTs: NOW - 9_000 }), presencePart(2, '@a:b')]
      expect(of(...changes)).to.equal(NOW + 1_000)
      expect(of(presencePart(1, '@a:b'), typingPart(2, '@a:b', true))).to.equal(null)
      expect(of(presencePart(1, '@a:b', { receivedTs: NOW + 20 }))).to.equal(NOW + 10_000)
      expect(of(presencePart(1, '@a:b', { receivedTs: NOW + 1e9 }))).to.equal(null)
      const over = presencePart(1, '@c:b', { receivedTs: NOW - 700_000, expiresAt: NOW - 100_000 })
      expect(of(over, presencePart(2, '@a:b'))).to.equal(NOW + 10_000)
    })
  })

  it('are none of which the texts were not read, but what those replace is known', () => {
    const durable = laneOf([toDevicePart(1), toDevicePart(2, { content: null }), toDevicePart(3)])
    expect(plan({ durable })).to.deep.include({ durable: [1] })
    const ephemeral = laneOf([typingPart(1, '@a:b', true), typingPart(2, '@a:b', false, { content: null })])
    const result = plan({ ephemeral })
    expect(result.ephemeral).to.deep.equal([])
    expect(result.cursors.ephemeral).to.equal(1)
  })

  it('are none where none are allowed', () => {
    const durable = laneOf([{ ...toDevicePart(1), alone: true }])
    const ephemeral = laneOf([typingPart(2, '@a:b', true)])
    const result = plan({ durable, ephemeral }, { maxEdus: 0, maxBytes: 4_194_304 })
    expect(result).to.deep.include({ edus: 0, durable: [], ephemeral: [], alone: false })
    expect(result.cursors).to.deep.equal({ durable: 0, ephemeral: 0 })
  })
})
