/**
 * Schedules with EDUs: of both lanes, to lists and to rooms, with keys, with a time, and such as go alone. They are drawn apart, so that the
 * seeds of the others stay what they were.
 */
import fc from 'fast-check'
import {
  by,
  DAY,
  door,
  holds,
  HOUR,
  inner,
  MINUTE,
  parts,
  room,
  SECOND,
  talk,
  type Break,
  type By,
  type Command,
  type GivesEdus,
} from './schedule.ts'

const none = fc.constant(null)
const user = fc.constantFrom('one' as const, 'one' as const, 'two' as const)
const to = fc.constantFrom<GivesEdus['to'][]>('us', 'us', 'both', 'other', 'room', 'room', 'room', 'rooms')
const shared = { door, user, room, to, on: fc.boolean() }

const message = fc.record({
  ...{ ...shared, do: fc.constant('edu' as const), kind: fc.constant('message' as const) },
  count: fc.constantFrom(1, 1, 1, 2, 7),
  ttlMs: fc.constantFrom(null, null, null, null, MINUTE),
  size: fc.constantFrom(20, 20, 20, 300, 700, 1_700),
  alone: fc.constantFrom(false, false, false, false, true),
})
const lists = fc.record({
  ...{ ...shared, do: fc.constant('edu' as const), kind: fc.constant('device list' as const) },
  ...{ count: fc.constantFrom(1, 1, 2, 23), ttlMs: none, size: fc.constant(20), alone: fc.constant(false) },
})
const ephemeral = fc.record({
  ...{ ...shared, do: fc.constant('edu' as const) },
  kind: fc.constantFrom<GivesEdus['kind'][]>(
    ...([
      'receipt',
      'receipt',
      'receipts',
      'typing',
      'typing',
      'typing',
      'presence',
      'other',
      'keyed',
      'off',
    ] as const),
  ),
  count: fc.constantFrom(1, 1, 1, 1, 3),
  ttlMs: fc.constantFrom(null, null, null, 5 * SECOND, 20 * SECOND),
  size: fc.constantFrom(20, 20, 20, 250, 700, 1_700),
  alone: fc.constantFrom(false, false, false, false, false, true),
})

const given = fc.oneof(
  { weight: 4, arbitrary: message },
  { weight: 1, arbitrary: lists },
  { weight: 6, arbitrary: ephemeral },
)

/** An item with EDUs; `hold`: where its door is held. */
const giving = (hold: fc.Arbitrary<Break | null>): fc.Arbitrary<GivesEdus> =>
  fc.tuple(given, hold).map(([one, hold]): GivesEdus => ({ ...one, break: hold }))

export const give = giving(none)
export const others = fc.oneof({ weight: 2, arbitrary: give }, { weight: 3, arbitrary: inner })

const turn = (by: By): Command => ({ do: 'turn', by, break: null })
/** Whoever serves us looks at our rows again. */
export const looked = (by: By): Command[] => [
  { do: 'operator', wish: 'resume' },
  turn(by),
  { do: 'tick', by, break: null },
]
const passes = (ms: number): Command => ({ do: 'time', ms })

const at = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      ...([
        'look at the destination',
        'read durable EDUs',
        'read ephemeral EDUs',
        'acknowledge and freeze',
      ] as const),
      ...([
        'the connection',
        'the request',
        'the answer',
        'the answer',
        'end the attempt',
        'let go',
      ] as const),
      ...(['move the cursors of EDUs', 'read EDUs of a transaction', 'begin to follow'] as const),
    ),
  },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 20 }) },
)

/** A turn with EDUs, in which others act. */
const busy: fc.Arbitrary<Command[]> = fc
  .record({
    ...{ by, at, first: fc.array(give, { minLength: 1, maxLength: 3 }), talks: fc.boolean(), room },
    happens: fc.array(others, { maxLength: 3 }),
    then: fc.constantFrom<Break['then'][]>(
      'goes on',
      'goes on',
      'goes on',
      'dies',
      'is stopped',
      'is overtaken',
    ),
  })
  .map(({ by, at, first, talks, room, happens, then }) => [
    ...first,
    ...(talks ? [talk(room)] : []),
    { do: 'operator', wish: 'resume' },
    { do: 'turn', by, break: { at, happens, then } },
    ...looked(by === 'A' ? 'B' : 'A'),
  ])

/** Time goes by between the look and the freeze, or before the look. */
const late: fc.Arbitrary<Command[]> = fc
  .record({
    ...{
      by,
      first: give,
      other: give,
      ms: fc.constantFrom(3 * SECOND, 6 * SECOND, 21 * SECOND, 2 * MINUTE, 6 * HOUR),
    },
    at: fc.constantFrom(null, 'read durable EDUs', 'acknowledge and freeze', 'where it is', 'the connection'),
  })
  .map(({ by, first, other, ms, at }) => [
    first,
    ...(at === null ? [passes(ms), other] : [other]),
    { do: 'operator', wish: 'resume' },
    { do: 'turn', by, break: at === null ? null : { at, happens: [passes(ms)], then: 'goes on' } },
  ])

/** Its time is over when it would be frozen. */
const ending: fc.Arbitrary<Command[]> = fc
  .record({
    ...{
      by,
      room,
      kind: fc.constantFrom('typing' as const, 'other' as const, 'receipt' as const),
      other: give,
    },
    at: fc.constantFrom('acknowledge and freeze', 'where it is', 'the connection', 'read ephemeral EDUs'),
  })
  .map(({ by, room, kind, other, at }) => [
    { do: 'join', room, door: '1', break: null },
    other,
    {
      ...{ do: 'edu', kind, to: 'room', room, user: 'one', on: true, count: 1, ttlMs: 5 * SECOND, size: 20 },
      ...{ alone: false, door: '1', break: null },
    },
    { do: 'operator', wish: 'resume' },
    { do: 'turn', by, break: { at, happens: [passes(6 * SECOND)], then: 'goes on' } },
  ])

/** It is not answered, for so long that its id is forgotten, or that nothing ephemeral goes any more. */
const unanswered: fc.Arbitrary<Command[]> = fc
  .record({
    ...{
      by,
      first: fc.array(give, { minLength: 1, maxLength: 3 }),
      more: fc.array(others, { maxLength: 2 }),
      room,
    },
    remote: fc.constantFrom<Extract<Command, { do: 'remote' }>['remote'][]>(
      { does: 'times out' },
      { does: 'drops the answer' },
      { does: 'drops the answer' },
      { does: 'refuses the connection' },
      { does: 'fails', status: 503, retryAfterMs: null },
    ),
    ms: fc.constantFrom(6 * SECOND, 6 * MINUTE, HOUR, DAY),
    ends: fc.constantFrom('wake' as const, 'skip' as const, 'reset' as const),
    goes: fc.constantFrom('redact' as const, 'purge' as const, null, null),
  })
  .map(({ by, first, more, room, remote, ms, ends, goes }) => [
    { do: 'remote', remote },
    ...first,
    talk(room),
    { do: 'operator', wish: 'wake' },
    turn(by),
    passes(ms),
    ...(goes === 'redact' ? [{ do: goes, back: 0, door: '1', break: null } as const] : []),
    ...(goes === 'purge' ? [{ do: goes, room, door: '1', break: null } as const] : []),
    ...more,
    ...(ms >= HOUR ? [{ do: 'until due' } as const, passes(MINUTE)] : []),
    { do: 'remote', remote: { does: 'answers', lists: 'all', takesMs: 40 } },
    { do: 'operator', wish: ends },
    turn(by),
  ])

/** We leave the room, or come, before or after something of it. */
const leaving: fc.Arbitrary<Command[]> = fc
  .record({
    by,
    room,
    one: give,
    other: give,
    what: fc.constantFrom('leave' as const, 'rejoin' as const, 'purge' as const),
  })
  .map(({ by, room, one, other, what }) => [
    { do: 'join', room, door: '1', break: null },
    { ...one, to: 'room', room },
    { do: what, room, door: '1', break: null },
    { ...other, to: 'room', room },
    ...looked(by),
  ])

/** Who typed has stopped, and somebody else types; of several only the last goes. */
const replaced: fc.Arbitrary<Command[]> = fc
  .record({
    by,
    room,
    kind: fc.constantFrom('typing' as const, 'keyed' as const, 'presence' as const),
    between: give,
    last: user,
  })
  .map(({ by, room, kind, between, last }) => {
    const says = (user: GivesEdus['user'], on: boolean): Command => ({
      ...{
        do: 'edu',
        kind,
        to: 'room',
        room,
        user,
        on,
        count: 1,
        ttlMs: null,
        size: 20,
        alone: false,
        door: '1',
        break: null,
      },
    })
    return [
      { do: 'join', room, door: '1', break: null },
      says('one', true),
      between,
      says('one', kind !== 'typing'),
      says(last, true),
      ...looked(by),
    ]
  })

/** So much of one lane that it takes many transactions, beside the other lane and PDUs. */
const flood: fc.Arbitrary<Command[]> = fc
  .record({
    by,
    room,
    one: message,
    other: ephemeral,
    events: fc.constantFrom(0, 1, 7),
    durable: fc.boolean(),
  })
  .map(({ by, room, one, other, events, durable }) => {
    const many: Command = { ...(durable ? one : other), count: 9, break: null }
    const few: Command = { ...(durable ? other : one), count: 1, break: null }
    const talks: Command[] = events === 0 ? [] : [{ ...talk(room), count: events } as Command]
    return [many, ...talks, few, ...looked(by)]
  })

/** What is missed by a destination that catches up. */
const behind: fc.Arbitrary<Command[]> = fc
  .record({ by, room, first: fc.array(give, { minLength: 1, maxLength: 2 }), hold: holds })
  .map(({ by, room, first, hold }) => [
    { do: 'join', room, door: '1', break: null },
    { ...talk(room), count: 7 } as Command,
    ...first,
    passes(6 * MINUTE),
    { do: 'turn', by, break: hold },
    ...first,
    ...looked(by),
  ])

/** It takes too long for everything, until less goes at once. */
const slow: fc.Arbitrary<Command[]> = fc
  .record({ by, room, one: give, size: fc.constantFrom(60, 61) })
  .map(({ by, room, one, size }) => [
    { do: 'join', room, door: '1', break: null },
    { do: 'remote', remote: { does: 'times out' } },
    { ...talk(room), count: 2, size } as Command,
    { ...one, to: 'room', room, ttlMs: null },
    turn(by),
    ...Array.from({ length: 20 }, (): Command => ({ do: 'until due' })),
    { do: 'remote', remote: { does: 'answers', lists: 'all', takesMs: 40 } },
  ])

export const piece: fc.Arbitrary<Command[]> = fc.oneof(
  { weight: 4, arbitrary: giving(holds).map((one): Command[] => [one]) },
  { weight: 3, arbitrary: fc.tuple(give, by).map(([one, by]): Command[] => [one, ...looked(by)]) },
  { weight: 5, arbitrary: parts },
  { weight: 4, arbitrary: busy },
  { weight: 2, arbitrary: late },
  { weight: 2, arbitrary: ending },
  { weight: 2, arbitrary: unanswered },
  { weight: 2, arbitrary: leaving },
  { weight: 2, arbitrary: replaced },
  { weight: 2, arbitrary: flood },
  { weight: 1, arbitrary: behind },
  { weight: 1, arbitrary: slow },
)

export const edus: fc.Arbitrary<Command[]> = fc
  .array(piece, { minLength: 1, maxLength: 10, size: 'max' })
  .map((all) => withoutRetention([{ do: 'join', room: 0, door: '1', break: null }, ...all.flat()]))

/** Nothing of the log goes. */
export function withoutRetention(all: readonly Command[]): Command[] {
  return all.flatMap((one): Command[] => {
    if (one.do === 'retention') return []
    if (one.do === 'fails over')
      return [{ ...one, lost: withoutRetention(one.lost), then: withoutRetention(one.then) }]
    if (!('break' in one) || one.break === null) return [one]
    return [{ ...one, break: { ...one.break, happens: withoutRetention(one.break.happens) } }]
  })
}
