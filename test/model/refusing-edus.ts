/**
 * Schedules in which the remote refuses some EDUs, or all: durable and ephemeral ones, alone and with PDUs. What it takes else goes on, in its order, and
 * operators act on what is set aside.
 */
import fc from 'fast-check'
import { give, looked, others, withoutRetention } from './edus.ts'
import type { Remote } from './remote.ts'
import {
  by,
  HOUR,
  MINUTE,
  parts,
  SECOND,
  talk,
  type Break,
  type Command,
  type GivesEdus,
} from './schedule.ts'

const refusing: fc.Arbitrary<Remote> = fc.record({
  does: fc.constant('refuses' as const),
  each: fc.constantFrom(0, 0, 0, 0, 0, 3, 7),
  edus: fc.constantFrom(1, 2, 3, 3, 5, 5, 7, 11),
  status: fc.constantFrom(400, 403, 500, 500, 500, 413, 502, 502),
  empty: fc.constantFrom(200, 200, 200, 200, 200, 200, 401, 502),
})
const well: Remote = { does: 'answers', lists: 'all', takesMs: 40 }
const is = (remote: Remote): Command => ({ do: 'remote', remote })
const turn: Command = { do: 'turn', by: 'A', break: null }
const due: Command = { do: 'until due' }
const passes = (ms: number): Command => ({ do: 'time', ms })

/** Many small ones, of which the remote may refuse few. */
const many = fc
  .record({
    kind: fc.constantFrom<GivesEdus['kind'][]>('message', 'message', 'message', 'other', 'receipt', 'keyed'),
    to: fc.constantFrom<GivesEdus['to'][]>('us', 'us', 'both', 'room'),
    count: fc.integer({ min: 1, max: 9 }),
    on: fc.boolean(),
  })
  .map(({ kind, to, count, on }): Command => ({
    ...{ do: 'edu', kind, to, user: 'one', room: 0, on, count, ttlMs: null, size: 20, alone: false },
    ...{ door: '1', break: null },
  }))

const quarantine: fc.Arbitrary<Command> = fc.record({
  ...{ do: fc.constant('quarantine' as const), act: fc.constantFrom('retry' as const, 'drop' as const) },
  ...{ kind: fc.constantFrom('edu' as const, 'edu' as const, 'edu' as const, 'pdu' as const) },
  ...{
    nth: fc.nat({ max: 1 }),
    of: fc.constantFrom('us' as const, 'us' as const, 'us' as const, 'other' as const),
  },
})

const at = fc.oneof(
  fc.constantFrom(
    ...(['the request', 'the answer', 'the answer', 'begin', 'commit', 'end the attempt'] as const),
    ...(['take an EDU out of its lane', 'EDUs are apart no more', 'EDUs are set aside for good'] as const),
    ...(['read EDUs that are apart', 'note that an EDU is refused', 'acknowledge and freeze'] as const),
    ...(['no EDU is apart any more', 'let go'] as const),
  ),
  fc.integer({ min: 1, max: 25 }),
)

/** Something happens in the middle of a search. */
const held: fc.Arbitrary<Command[]> = fc
  .record({
    ...{ by, at, first: fc.array(fc.oneof(give, many), { maxLength: 1 }) },
    happens: fc.array(fc.oneof({ weight: 3, arbitrary: others }, { weight: 1, arbitrary: quarantine }), {
      maxLength: 2,
    }),
    then: fc.constantFrom<Break['then'][]>(
      'goes on',
      'goes on',
      'goes on',
      'dies',
      'is stopped',
      'is overtaken',
    ),
  })
  .map(({ by, at, first, happens, then }) => [
    ...first,
    { do: 'turn', by, break: { at, happens, then } },
    { do: 'tick', by: by === 'A' ? 'B' : 'A', break: null },
  ])

const step: fc.Arbitrary<Command[]> = fc.oneof(
  { weight: 8, arbitrary: fc.constant<Command[]>([due]) },
  { weight: 6, arbitrary: fc.constant<Command[]>([due, due, due, due]) },
  {
    weight: 4,
    arbitrary: fc.tuple(fc.oneof(give, many), by).map(([one, by]): Command[] => [one, ...looked(by)]),
  },
  { weight: 3, arbitrary: fc.tuple(many, many).map((all): Command[] => [...all, turn]) },
  { weight: 3, arbitrary: fc.nat({ max: 1 }).map((room): Command[] => [talk(room), turn]) },
  { weight: 3, arbitrary: refusing.map((remote): Command[] => [is(remote)]) },
  { weight: 2, arbitrary: fc.constant<Command[]>([is(well), due]) },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom<Remote[]>(
        { does: 'times out' },
        { does: 'drops the answer' },
        { does: 'refuses the connection' },
        { does: 'fails', status: 503, retryAfterMs: null },
      )
      .map((remote): Command[] => [is(remote), due]),
  },
  {
    weight: 4,
    arbitrary: fc
      .constantFrom(2 * SECOND, 6 * SECOND, MINUTE, 16 * MINUTE, 16 * MINUTE, HOUR, 6 * HOUR)
      .map((ms): Command[] => [passes(ms), due]),
  },
  { weight: 4, arbitrary: held },
  { weight: 3, arbitrary: quarantine.map((one): Command[] => [one, due]) },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom('wake' as const, 'skip' as const, 'reset' as const, 'resume' as const)
      .map((wish): Command[] => [{ do: 'operator', wish }, turn]),
  },
  { weight: 2, arbitrary: parts },
)

export const refusingEdus: fc.Arbitrary<Command[]> = fc
  .record({
    refusing,
    first: fc.array(fc.oneof({ weight: 2, arbitrary: many }, { weight: 1, arbitrary: give }), {
      minLength: 1,
      maxLength: 3,
    }),
    talks: fc.boolean(),
    steps: fc.array(step, { minLength: 3, maxLength: 16, size: 'max' }),
    /** It goes on refusing them to the end. */
    last: fc.oneof({ weight: 1, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: refusing }),
  })
  .map(({ refusing, first, talks, steps, last }) =>
    withoutRetention([
      { do: 'join', room: 0, door: '1', break: null },
      // Another destination is there.
      { do: 'set', room: 2, us: 'out of it', door: '1', break: null },
      is(refusing),
      ...first,
      ...(talks ? [talk(0)] : []),
      ...[turn, due, due],
      ...steps.flat(),
      ...(last === null ? [] : [is(last)]),
    ]),
  )
