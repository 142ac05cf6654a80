/**
 * Schedules in which the remote refuses some events, or all of them, and answers what is empty. Random ones hardly ever come to the end of
 * a search.
 */
import fc from 'fast-check'
import type { Remote } from './remote.ts'
import { DAY, HOUR, inner, MINUTE, parts, SECOND, type Command } from './schedule.ts'

const refusing: fc.Arbitrary<Remote> = fc.record({
  does: fc.constant('refuses' as const),
  each: fc.constantFrom(1, 2, 3, 3, 5, 7),
  status: fc.constantFrom(400, 403, 500, 500, 413, 502, 502),
  empty: fc.constantFrom(200, 200, 200, 200, 401, 502),
})

const append = (room: number, count: number, stickyMs: number | null): Command => ({
  ...{ do: 'append', room, count, stickyMs, audience: 'room', size: 60, door: '1', break: null },
})

const turn = (by: 'A' | 'B'): Command => ({ do: 'turn', by, break: null })
const tick: Command = { do: 'tick', by: 'B', break: null }

const step: fc.Arbitrary<Command[]> = fc.oneof(
  { weight: 8, arbitrary: fc.constant<Command[]>([{ do: 'until due' }]) },
  // What a gateway refuses is asked about only after three times.
  { weight: 5, arbitrary: fc.constant<Command[]>(Array.from({ length: 4 }, () => ({ do: 'until due' }))) },
  {
    weight: 4,
    arbitrary: fc
      .record({ room: fc.nat({ max: 2 }), count: fc.integer({ min: 1, max: 4 }), sticky: fc.boolean() })
      .map(({ room, count, sticky }): Command[] => [
        append(room, count, sticky ? 30 * MINUTE : null),
        turn('A'),
      ]),
  },
  { weight: 3, arbitrary: refusing.map((remote): Command[] => [{ do: 'remote', remote }]) },
  {
    weight: 2,
    arbitrary: fc.constant<Command[]>([
      { do: 'remote', remote: { does: 'answers', lists: 'all', takesMs: 40 } },
      { do: 'until due' },
    ]),
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom<Command[][]>(
      [{ do: 'time', ms: 6 * SECOND }],
      [{ do: 'time', ms: 16 * MINUTE }],
      [{ do: 'time', ms: 2 * HOUR }],
      [{ do: 'time', ms: DAY }],
    ),
  },
  {
    weight: 4,
    arbitrary: fc
      .record({
        at: fc.oneof(
          fc.constantFrom(
            ...[
              'the request',
              'the answer',
              'begin',
              'commit',
              'take apart what was refused',
              'sort what is apart',
            ],
            ...[
              'acknowledge and freeze',
              'it is apart no more',
              'a room goes on',
              'end the attempt',
              'let go',
            ],
          ),
          fc.integer({ min: 1, max: 25 }),
        ),
        happens: fc.array(inner, { maxLength: 2 }),
        then: fc.constantFrom(
          'goes on' as const,
          'goes on' as const,
          'dies' as const,
          'is overtaken' as const,
        ),
        by: fc.constantFrom('A' as const, 'B' as const),
      })
      .map(({ at, happens, then, by }): Command[] => [
        append(0, 2, null),
        { do: 'turn', by, break: { at, happens, then } },
        tick,
      ]),
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom<Command[][]>(
      [{ do: 'time', ms: 2 * HOUR }, { do: 'retention', break: null }, turn('A')],
      [{ do: 'operator', wish: 'skip' }, turn('B'), append(0, 1, null), turn('A')],
      [{ do: 'operator', wish: 'wake' }, turn('B')],
    ),
  },
  { weight: 2, arbitrary: parts },
)

const quarantine: fc.Arbitrary<Command> = fc.record({
  ...{ do: fc.constant('quarantine' as const), act: fc.constantFrom('retry' as const, 'drop' as const) },
  ...{ kind: fc.constantFrom('pdu' as const, 'pdu' as const, 'room' as const), nth: fc.nat({ max: 2 }) },
  of: fc.constantFrom('us' as const, 'us' as const, 'other' as const),
})

/** An operator acts on what is set aside. Drawn apart, so that the seeds of the others stay what they were. */
export const quarantined: fc.Arbitrary<Command[]> = fc
  .record({
    schedule: fc.constant(null).chain(() => isolating),
    acts: fc.array(quarantine, { minLength: 2, maxLength: 6 }),
    by: fc.nat({ max: 8 }),
  })
  .map(({ schedule, acts, by }) => {
    // After the search has come to something.
    const from = Math.min(schedule.length, 8 + by)
    return [
      // Another destination is there.
      { do: 'set', room: 2, us: 'out of it', door: '1', break: null },
      ...schedule.slice(0, from),
      ...acts.flatMap((act, i): Command[] => [...schedule.slice(from + 2 * i, from + 2 * i + 2), act]),
      ...schedule.slice(from + 2 * acts.length),
    ]
  })

export const isolating: fc.Arbitrary<Command[]> = fc
  .record({
    refusing,
    first: fc.integer({ min: 1, max: 6 }),
    steps: fc.array(step, { minLength: 3, maxLength: 18, size: 'max' }),
  })
  .map(({ refusing, first, steps }) => [
    { do: 'join', room: 0, door: '1', break: null },
    { do: 'join', room: 1, door: '1', break: null },
    append(0, first, null),
    append(1, 1, null),
    { do: 'remote', remote: refusing },
    { do: 'turn', by: 'A', break: null },
    ...steps.flat(),
  ])
