/**
 * Schedules in which a room waits, or is held, while a sticky event of it was answered and not listed: that goes again in its time. Random ones hardly
 * ever come to it: a search is over soon, and most answers list everything.
 */
import fc from 'fast-check'
import type { Remote } from './remote.ts'
import { HOUR, inner, MINUTE, SECOND, type Command } from './schedule.ts'

const append = (room: number, count: number, stickyMs: number | null = null): Command => ({
  ...{ do: 'append', room, count, stickyMs, audience: 'room', size: 60, door: '1', break: null },
})
const joins = (room: number): Command => ({ do: 'join', room, door: '1', break: null })
const is = (remote: Remote): Command => ({ do: 'remote', remote })
const turn: Command = { do: 'turn', by: 'A', break: null }
const due: Command = { do: 'until due' }

const step: fc.Arbitrary<Command[]> = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom<Command[][]>([due], [due, due], [turn]) },
  { weight: 3, arbitrary: fc.nat({ max: 1 }).map((room): Command[] => [append(room, 1), due]) },
  {
    weight: 3,
    arbitrary: fc
      .constantFrom(6 * SECOND, 16 * SECOND, 40 * SECOND, 3 * MINUTE)
      .map((ms): Command[] => [{ do: 'time', ms }, due]),
  },
  // Whoever has it dies, and its row may say nothing of when to look again.
  {
    weight: 2,
    arbitrary: fc.constantFrom('A' as const, 'B' as const).map((by): Command[] => [
      { do: 'dies', by },
      { do: 'time', ms: 20 * SECOND },
      { do: 'sweep', break: null },
    ]),
  },
  { weight: 1, arbitrary: fc.constant<Command[]>([{ do: 'sweep', break: null }]) },
  { weight: 1, arbitrary: inner.map((one): Command[] => [one]) },
)

export const unlistedAndHeld: fc.Arbitrary<Command[]> = fc
  .record({
    status: fc.constantFrom(400 as const, 500 as const, 502 as const),
    sticky: fc.integer({ min: 1, max: 3 }),
    /** The first bad ones of their room: from three on it is held. */
    bad: fc.integer({ min: 1, max: 4 }),
    each: fc.constantFrom(2, 3, 5),
    steps: fc.array(step, { minLength: 1, maxLength: 14, size: 'max' }),
  })
  .map(({ status, sticky, bad, each, steps }) => [
    ...[joins(0), joins(1), is({ does: 'answers', lists: 'nothing', takesMs: 40 })],
    ...[append(0, sticky, HOUR), turn],
    is({ does: 'refuses', each: 1, status, empty: 200, lists: 'nothing' }),
    ...[append(0, bad), turn],
    is({ does: 'refuses', each, status, empty: 200, lists: 'nothing' }),
    ...[append(1, 2), due, append(0, 2), due, due],
    ...steps.flat(),
  ])
