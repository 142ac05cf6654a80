/**
 * Schedules in which a process is cut off from all destinations, or the only one that ever answered is not there, and failures are taken for the process'
 * own fault (contract 5.11).
 */
import fc from 'fast-check'
import type { Remote } from './remote.ts'
import { HOUR, MINUTE, parts, SECOND, type By, type Command } from './schedule.ts'

const event = { do: 'append', room: 0, count: 1, audience: 'room', size: 60, door: '1', break: null } as const
const turn = (by: By): Command => ({ do: 'turn', by, break: null })
const tick = (by: By): Command => ({ do: 'tick', by, break: null })
const time = (ms: number): Command => ({ do: 'time', ms })

const by = fc.constantFrom<By[]>('A', 'A', 'B')
const some = (of: fc.Arbitrary<Command>, maxLength: number) => fc.array(of, { maxLength })
/** What lets time pass until something is tried. */
const waiting = fc.constantFrom<Command[]>(
  { do: 'until due' },
  { do: 'until due' },
  tick('A'),
  tick('B'),
  turn('A'),
  turn('B'),
  time(16 * SECOND),
  time(MINUTE),
  { do: 'sweep', break: null },
)
/** What others do meanwhile. */
const meanwhile = fc.constantFrom<Command[]>(
  { ...event, stickyMs: null },
  { ...event, stickyMs: 10 * MINUTE },
  { ...event, stickyMs: null, count: 7 },
  { do: 'redact', back: 0, door: '1', break: null },
  { do: 'rejoin', room: 0, door: '1', break: null },
  { do: 'operator', wish: 'wake' },
  { do: 'operator', wish: 'reset' },
  { do: 'server up' },
  { do: 'dies', by: 'A' },
  { do: 'lease lost', by: 'A', notices: true },
)
const failing = fc.constantFrom<Remote>(
  { does: 'refuses the connection' },
  { does: 'times out' },
  { does: 'drops the answer' },
  { does: 'is not found' },
  { does: 'fails', status: 500, retryAfterMs: null },
)

/** It fails for a while before, by its own fault. */
const before = fc.oneof(
  { weight: 2, arbitrary: fc.constant<Command[]>([]) },
  {
    weight: 1,
    arbitrary: fc
      .record({ by, failures: fc.integer({ min: 1, max: 4 }) })
      .map(({ by, failures }) => [
        { do: 'remote', remote: { does: 'fails', status: 500, retryAfterMs: null } } as const,
        { ...event, stickyMs: null },
        turn(by),
        ...Array.from({ length: failures }, (): Command => ({ do: 'until due' })),
        time(3 * MINUTE),
      ]),
  },
)

/** It fails once more, and is held before that is put back. */
function held(by: By, happens: Command): Command {
  return {
    do: 'turn',
    by,
    break: { at: 'put back what failed for us', happens: [happens], then: 'goes on' },
  }
}

const cutOff: fc.Arbitrary<Command[]> = fc
  .record({
    ...{ by, before, both: fc.boolean() },
    /** The request is under way when the uplink goes: it may have arrived. */
    midway: fc.boolean(),
    first: some(waiting, 4),
    /** What happens right before it is put back. */
    between: fc.constantFrom(null, null, 'reset' as const, 'turn' as const),
    then: some(fc.oneof({ weight: 3, arbitrary: waiting }, { weight: 2, arbitrary: meanwhile }), 8),
    long: fc.constantFrom(MINUTE, 20 * MINUTE, 3 * HOUR),
    remote: fc.oneof(
      { weight: 2, arbitrary: fc.constant<Remote>({ does: 'answers', lists: 'all', takesMs: 40 }) },
      { weight: 1, arbitrary: failing },
    ),
    last: some(waiting, 4),
  })
  .map(({ by, before, both, midway, first, between, then, long, remote, last }) => {
    const other: By = by === 'A' ? 'B' : 'A'
    const gone: Command[] = [
      { do: 'uplink', by, is: 'gone' },
      ...(both ? [{ do: 'uplink', by: other, is: 'gone' } as const] : []),
    ]
    return [
      ...before,
      { ...event, stickyMs: null },
      ...(midway
        ? [{ do: 'turn', by, break: { at: 'the request', happens: gone, then: 'goes on' } } as const]
        : [...gone, turn(by)]),
      ...first,
      ...(between === null
        ? []
        : [held(by, between === 'turn' ? turn(other) : { do: 'operator', wish: between })]),
      ...then,
      time(long),
      tick(by),
      ...then,
      { do: 'uplink', by, is: 'back' },
      { do: 'remote', remote },
      ...last,
    ]
  })

export const uplinks: fc.Arbitrary<Command[]> = fc
  .record({
    by,
    /** Since when it has answered nobody. */
    quiet: fc.constantFrom(MINUTE, 3 * MINUTE, 2 * HOUR),
    remote: fc.oneof({ weight: 1, arbitrary: failing }, { weight: 3, arbitrary: fc.constant(null) }),
    one: cutOff,
    others: fc.array(parts, { maxLength: 3 }),
    two: fc.oneof({ weight: 2, arbitrary: fc.constant<Command[]>([]) }, { weight: 1, arbitrary: cutOff }),
  })
  .map(({ by, quiet, remote, one, others, two }) => [
    { do: 'join', room: 0, door: '1', break: null },
    { ...event, stickyMs: null },
    turn(by),
    time(quiet),
    ...(remote === null ? [] : [{ do: 'remote', remote } as const]),
    ...one,
    ...others.flat(),
    ...two,
  ])
