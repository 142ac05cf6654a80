/**
 * Schedules in which the remote answers everything by 401 or 403, an empty transaction too (5.9), while something sticky comes, it seems to be up,
 * operators act and sweeps run. Random ones hardly ever come to a second wait.
 */
import fc from 'fast-check'
import type { Remote } from './remote.ts'
import { DAY, HOUR, MINUTE, SECOND, type Command } from './schedule.ts'

const event = { do: 'append', room: 0, count: 1, audience: 'room', size: 60, door: '1', break: null } as const
const due: Command = { do: 'until due' }
const turn: Command = { do: 'turn', by: 'A', break: null }
const ticks: Command[] = [
  { do: 'tick', by: 'A', break: null },
  { do: 'tick', by: 'B', break: null },
]

const step: fc.Arbitrary<Command[]> = fc.oneof(
  { weight: 4, arbitrary: fc.constant<Command[]>([due]) },
  {
    weight: 4,
    arbitrary: fc
      .constantFrom(2 * MINUTE, 20 * MINUTE, HOUR)
      .map((stickyMs): Command[] => [{ ...event, stickyMs }, ...ticks, due]),
  },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom(10 * SECOND, 10 * MINUTE, 50 * MINUTE, 3 * HOUR)
      .map((ms): Command[] => [{ do: 'time', ms }, ...ticks]),
  },
  { weight: 3, arbitrary: fc.constant<Command[]>([{ do: 'sweep', break: null }, due]) },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom('wake' as const, 'wake' as const, 'reset' as const)
      .map((wish): Command[] => [{ do: 'operator', wish }, turn, due]),
  },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom<Remote>(
        { does: 'refuses the connection' },
        { does: 'fails', status: 500, retryAfterMs: null },
        { does: 'answers', lists: 'all', takesMs: 40 },
      )
      .map((remote): Command[] => [{ do: 'remote', remote }, due]),
  },
)

const locks: fc.Arbitrary<Remote> = fc.record({
  ...{ does: fc.constant('refuses' as const), each: fc.constant(1), status: fc.constant(403 as const) },
  empty: fc.constantFrom(401 as const, 403 as const),
})

export const locked: fc.Arbitrary<Command[]> = fc
  .record({
    locks,
    first: fc.integer({ min: 1, max: 4 }),
    /** The wait doubles so often before anything else happens. */
    before: fc.integer({ min: 2, max: 6 }),
    steps: fc.array(step, { minLength: 2, maxLength: 10, size: 'max' }),
  })
  .map(({ locks, first, before, steps }) => [
    { do: 'join', room: 0, door: '1', break: null },
    { ...event, count: 1, stickyMs: null },
    turn,
    // A join lets an attempt come sooner for an hour.
    { do: 'time', ms: 2 * HOUR },
    { do: 'remote', remote: locks },
    { ...event, count: first, stickyMs: null },
    turn,
    ...Array.from({ length: before }, () => due),
    ...steps.flat(),
    { do: 'remote', remote: { does: 'answers', lists: 'all', takesMs: 40 } },
    { do: 'time', ms: DAY },
    due,
  ])
