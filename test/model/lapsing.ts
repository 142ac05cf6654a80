/**
 * Schedules in which a destination fails and is owed something sticky that lapses before its next attempt. Random ones hardly ever come to
 * that: backoffs are short at first.
 */
import fc from 'fast-check'
import type { Remote } from './remote.ts'
import { DAY, HOUR, MINUTE, schedulesForTwins, SECOND, type Command } from './schedule.ts'

const event = { do: 'append', room: 0, count: 1, audience: 'room', size: 60, door: '1', break: null } as const
const turn: Command = { do: 'turn', by: 'A', break: null }
const ticks: Command[] = [
  { do: 'tick', by: 'A', break: null },
  { do: 'tick', by: 'B', break: null },
]
const times = (count: number, ...them: Command[]): Command[] =>
  Array.from({ length: count }, () => them).flat()

const remote = fc.constantFrom<Remote>(
  { does: 'refuses the connection' },
  { does: 'fails', status: 500, retryAfterMs: null },
  { does: 'fails', status: 429, retryAfterMs: 20 * MINUTE },
  { does: 'fails', status: 410, retryAfterMs: null },
  { does: 'times out' },
)

export const lapsing: fc.Arbitrary<Command[]> = fc
  .record({
    remote,
    /** It fails so often before anything sticky comes. */
    before: fc.integer({ min: 3, max: 7 }),
    first: fc.constantFrom(null, 2 * MINUTE, 10 * MINUTE),
    lives: fc.array(fc.constantFrom(20 * SECOND, 2 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR), {
      minLength: 1,
      maxLength: 3,
    }),
    looks: fc.integer({ min: 1, max: 4 }),
    then: fc.constantFrom<Remote | null>(
      { does: 'answers', lists: 'all', takesMs: 40 },
      { does: 'answers', lists: 'nothing', takesMs: 40 },
      { does: 'fails', status: 429, retryAfterMs: 3 * DAY },
      null,
    ),
    between: fc.constantFrom<Command | null>(
      { do: 'redact', back: 0, door: '1', break: null },
      { do: 'time', ms: MINUTE },
      { do: 'sweep', break: null },
      { do: 'rejoin', room: 0, door: '1', break: null },
      { do: 'operator', wish: 'pause' },
      null,
    ),
    late: fc.boolean(),
  })
  .map(({ remote, before, first, lives, looks, then, between, late }) => [
    { do: 'join', room: 0, door: '1', break: null },
    { ...event, stickyMs: null },
    turn,
    // A join lets an attempt come sooner for an hour.
    { do: 'time', ms: 2 * HOUR },
    { do: 'remote', remote },
    { ...event, stickyMs: first },
    turn,
    ...times(before, { do: 'until due' }),
    ...lives.flatMap((stickyMs): Command[] => [
      { ...event, stickyMs },
      ...ticks,
      ...times(looks, { do: 'until due' }),
      ...(between === null ? [] : [between]),
    ]),
    ...(then === null ? [] : [{ do: 'remote', remote: then } as const]),
    ...(late ? [{ do: 'time', ms: 20 * MINUTE } as const] : []),
    ...times(looks, { do: 'until due' }),
  ])

/** For the run on PostgreSQL: these too. */
export const schedulesOnPostgres: fc.Arbitrary<Command[]> = fc.oneof(
  { weight: 4, arbitrary: schedulesForTwins },
  { weight: 1, arbitrary: lapsing },
)
