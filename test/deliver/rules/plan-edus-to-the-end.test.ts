/** Any lanes, planned again and again until nothing is left: what a plan may pass, what it must keep to, and that all of it goes once. */
import { expect } from 'chai'
import fc from 'fast-check'
import { planEdus, type EduPlan } from '../../../src/deliver/rules/plan-edus.ts'
import type { EduLane, EduLimits, EdusToPlan } from '../../../src/deliver/rules/edus-to-plan.ts'
import { packEdus } from '../../../src/matrix/edus/pack.ts'
import type { StoredEdu } from '../../../src/store/delivery/edus.ts'
import {
  deviceListPart,
  NOW,
  part,
  presencePart,
  receiptPart,
  toDevicePart,
  toPlan,
  typingPart,
} from './edu-parts.ts'

type Make = (pos: number) => StoredEdu
const user = fc.constantFrom('@a:b', '@b:b', '@c:b')
const expiresAt = fc.constantFrom(NOW - 1, NOW + 1_500, NOW + 600_000)
const bytes = (pos: number, n: number): Partial<StoredEdu> => ({
  content: `"${String(pos).padEnd(n - 2, 'x')}"`,
})
const ephemeral: fc.Arbitrary<Make> = fc.oneof(
  fc.record({ user, on: fc.boolean(), expiresAt }).map(
    ({ user: who, on, expiresAt: at }): Make =>
      (pos) =>
        typingPart(pos, who, on, { expiresAt: at }),
  ),
  fc.record({ user, expiresAt, age: fc.nat(20_000) }).map(
    ({ user: who, expiresAt: at, age }): Make =>
      (pos) =>
        presencePart(pos, who, { expiresAt: at, receivedTs: NOW - age }),
  ),
  fc.record({ user, thread: fc.constantFrom(null, '$one', '$two') }).map(
    ({ user: who, thread }): Make =>
      (pos) =>
        receiptPart(pos, who, thread),
  ),
  fc.constantFrom<Make>(
    (pos) => part(pos),
    (pos) => part(pos, bytes(pos, 3_000)),
    (pos) => part(pos, { alone: true }),
  ),
)
const durable: fc.Arbitrary<Make> = fc.oneof(
  { weight: 3, arbitrary: fc.constant<Make>((pos) => toDevicePart(pos)) },
  {
    weight: 3,
    arbitrary: user.map(
      (who): Make =>
        (pos) =>
          deviceListPart(pos, who),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.constant<Make>((pos) => toDevicePart(pos, { ...bytes(pos, 9_000), alone: true })),
  },
  fc.constantFrom<Make>(
    (pos) => toDevicePart(pos, bytes(pos, 3_000)),
    (pos) => toDevicePart(pos, { key: 'k' }),
    (pos) => toDevicePart(pos, { expiresAt: NOW + 1_500 }),
  ),
)
const beside = fc.record({
  wait: fc.boolean(),
  sticky: fc.boolean(),
  left: fc.constantFrom(0.1, 0.5, 1),
  pass: fc.nat(3_000),
})
const story = fc.record({
  rows: fc.array(fc.oneof(ephemeral, durable), { maxLength: 160 }),
  /** Rows and bytes of a reading. */
  rowsRead: fc.integer({ min: 1, max: 120 }),
  bytesRead: fc.constantFrom(0, 5_000, 1e9),
  limits: fc.record({
    maxEdus: fc.constantFrom(1, 4, 10, 100),
    maxBytes: fc.constantFrom(2_000, 10_000, 4_194_304),
  }),
  off: fc.constantFrom(new Set<string>(), new Set(['m.presence'])),
  beside: fc.array(beside, { maxLength: 30 }),
})

/** As `store/delivery/edus.ts` reads it. */
function laneAt(
  all: readonly StoredEdu[],
  cursor: number,
  head: number,
  rows: number,
  maxBytes: number,
): EduLane {
  const pending = all.filter(({ pos }) => pos > cursor).slice(0, rows)
  let sum = 0
  const edus = pending.map((edu, i) => {
    sum += edu.content!.length + 1
    return i === 0 || sum <= maxBytes ? edu : { ...edu, content: null }
  })
  return { cursor, edus, upto: pending.length < rows ? head : pending.at(-1)!.pos }
}

/** Each row by itself, compared with all that were read. */
function mayBeLeftOut(edu: StoredEdu, { edus }: EduLane, { now, off }: EdusToPlan): boolean {
  const isAlive = (one: StoredEdu) => !off.has(one.eduType) && (one.expiresAt === null || one.expiresAt > now)
  const isReplaced = (one: StoredEdu) =>
    edus.some(
      (b) =>
        isAlive(b) && one.key !== null && b.pos > one.pos && b.key === one.key && b.eduType === one.eduType,
    )
  if (!isAlive(edu) || isReplaced(edu)) return true
  if (edu.eduType !== 'm.device_list_update') return false
  const same = edus.filter((b) => b.eduType === edu.eduType && b.who === edu.who && isAlive(b))
  return same.length > 20 && same.at(-1) !== edu
}

const packed = (edus: readonly StoredEdu[]) => {
  const packing = packEdus()
  for (const edu of edus) packing.join({ ...edu, content: edu.content! })
  return { ...packing.count(), texts: packing.texts(NOW + 1e12) }
}
const within = (lane: EduLane, cursor: number) =>
  lane.edus.filter(({ pos }) => pos > lane.cursor && pos <= cursor)

function check(plan: EduPlan, input: EdusToPlan, limits: EduLimits): void {
  expect(planEdus(input, limits), 'the same once more').to.deep.equal(plan)
  const { pdus } = input
  let passed = 0
  for (const name of ['durable', 'ephemeral'] as const) {
    const [lane, chosen, cursor] = [input[name], plan[name], plan.cursors[name]]
    expect(cursor).to.be.at.least(lane.cursor).and.at.most(lane.upto)
    const due = within(lane, cursor)
    expect(chosen, 'a prefix less what is left out').to.deep.equal(
      due.filter((edu) => !mayBeLeftOut(edu, lane, input)),
    )
    passed += due.length - chosen.length
  }
  expect(plan.leftOut.reduce((sum, { count }) => sum + count, 0)).to.equal(passed)

  const all = [...plan.durable, ...plan.ephemeral]
  const whole = packed(all)
  expect([plan.edus, plan.bytes]).to.deep.equal([whole.edus, whole.bytes])
  expect(whole.texts).to.have.length(plan.edus)
  expect(plan.bytes).to.be.at.least(whole.texts.join(',').length)
  expect(plan.edus).to.be.at.most(limits.maxEdus)
  if (plan.alone) {
    expect(all).to.have.length(1)
    expect(pdus.sticky).to.equal(false)
    expect(input.lastWasAlone && pdus.wait, 'two in a row').to.equal(false)
    return
  }
  expect(all.filter(({ alone }) => alone)).to.deep.equal([])
  expect(plan.bytes).to.be.at.most(pdus.bytesLeft)
  const ofDurable = packed(plan.durable)
  if (pdus.wait) expect(ofDurable.bytes).to.be.at.most(limits.maxBytes / 2)
  const durableWaits = plan.cursors.durable < input.head
  if (durableWaits) expect(plan.edus - ofDurable.edus).to.be.at.most(limits.maxEdus / 5)
}

describe('the plan of EDUs', () => {
  it('passes what it sends and what it leaves out, keeps to what it may, and in the end everything has gone once', () => {
    fc.assert(
      fc.property(story, ({ rows, rowsRead, bytesRead, limits, off, beside: steps }) => {
        const all = rows.map((make, i) => make(3 * i + 2))
        const head = 3 * rows.length + 5
        const lanes = {
          durable: all.filter((edu) => edu.durable),
          ephemeral: all.filter((edu) => !edu.durable),
        }
        const sent = { durable: [] as number[], ephemeral: [] as number[] }
        const cursors = { durable: 0, ephemeral: 0 }
        let [now, lastWasAlone, lastEphemeralAt, leftOut] = [NOW, false, null as number | null, 0]
        for (let step = 0; cursors.durable < head || cursors.ephemeral < head; step += 1) {
          expect(step, 'it goes on').to.be.below(1_000)
          const { wait, sticky, left, pass } = steps[step] ?? {
            wait: false,
            sticky: false,
            left: 1,
            pass: 100,
          }
          now += pass
          const input = toPlan({
            durable: laneAt(lanes.durable, cursors.durable, head, rowsRead, bytesRead),
            ephemeral: laneAt(lanes.ephemeral, cursors.ephemeral, head, rowsRead, bytesRead),
            ...{ head, now, off, lastWasAlone, lastEphemeralAt },
            pdus: {
              wait,
              sticky: wait && sticky,
              bytesLeft: wait ? limits.maxBytes * left : limits.maxBytes,
            },
          })
          const plan = planEdus(input, limits)
          check(plan, input, limits)
          const withPdus = wait && !plan.alone
          if (!withPdus && plan.notBefore !== null) {
            expect(plan.durable).to.deep.equal([])
            expect(plan.notBefore)
              .to.be.above(now)
              .and.at.most(now + 10_000)
            now = plan.notBefore
            continue
          }
          if (!withPdus && plan.durable.length === 0 && plan.ephemeral.length > 0) {
            if (lastEphemeralAt !== null) expect(now - lastEphemeralAt).to.be.at.least(1_000)
            lastEphemeralAt = now
          }
          for (const name of ['durable', 'ephemeral'] as const) {
            sent[name].push(...plan[name].map(({ pos }) => pos))
            cursors[name] = plan.cursors[name]
          }
          leftOut += plan.leftOut.reduce((sum, { count }) => sum + count, 0)
          if (plan.durable.length + plan.ephemeral.length > 0 || withPdus) lastWasAlone = plan.alone
        }
        for (const name of ['durable', 'ephemeral'] as const)
          expect(sent[name]).to.deep.equal([...new Set(sent[name])].sort((a, b) => a - b))
        expect(sent.durable.length + sent.ephemeral.length + leftOut).to.equal(all.length)
        const kept = lanes.durable.filter(
          ({ key, expiresAt: at, eduType }) =>
            key === null && at === null && eduType === 'm.direct_to_device',
        )
        expect(sent.durable).to.include.members(kept.map(({ pos }) => pos))
      }),
      { numRuns: 300 },
    )
  })

  it('of a destination that has failed for long sends no ephemeral one and moves past all of them', () => {
    fc.assert(
      fc.property(story, ({ rows, rowsRead, limits }) => {
        const all = rows.map((make, i) => make(3 * i + 2))
        const head = 3 * rows.length + 5
        const input = toPlan({
          durable: laneAt(
            all.filter((edu) => edu.durable),
            0,
            head,
            rowsRead,
            1e9,
          ),
          ephemeral: laneAt(
            all.filter((edu) => !edu.durable),
            0,
            head,
            rowsRead,
            1e9,
          ),
          ...{ head, longOutage: true },
        })
        const plan = planEdus(input, limits)
        expect(plan.ephemeral).to.deep.equal([])
        expect(plan.cursors.ephemeral).to.equal(head)
        const given = plan.leftOut.filter(({ why }) => why === 'outage')
        expect(given.reduce((sum, { count }) => sum + count, 0)).to.equal(input.ephemeral.edus.length)
      }),
    )
  })
})
