/** Schedules for what a search for refused PDUs comes to seldom (see `rare.ts`). */
import fc from 'fast-check'
import type { Remote } from './remote.ts'
import { HOUR, MINUTE, type Command } from './schedule.ts'

const joins = (room: number): Command => ({ do: 'join', room, door: '1', break: null })
const append = (room: number, count: number, stickyMs: number | null = null): Command => ({
  ...{ do: 'append', room, count, stickyMs, audience: 'room', size: 60, door: '1', break: null },
})
const refuses = (each: number, status: 400 | 403 | 500): Command => {
  const remote: Remote = { does: 'refuses', each, status, empty: 200 }
  return { do: 'remote', remote }
}
const turn: Command = { do: 'turn', by: 'A', break: null }
const due: Command = { do: 'until due' }
const old: Command[] = [
  { do: 'time', ms: 2 * HOUR },
  { do: 'retention', break: null },
]

/** Three PDUs of a room are set aside within an hour. */
const held: Command[] = [
  ...[joins(0), joins(1), append(0, 3), append(1, 1), refuses(1, 400), turn, append(0, 1), refuses(3, 400)],
  ...[append(0, 2), due, append(0, 2), { do: 'tick', by: 'A', break: null } as const, due],
]

const operator = (act: 'retry' | 'drop'): Command => ({
  ...{ do: 'quarantine', act, kind: 'room', nth: 0, of: 'us' },
})

/** An operator gave up what was owed, and before the holder looks, the log goes on without a room that is held. */
export const skippedLate: fc.Arbitrary<Command[]> = fc
  .record({ first: fc.integer({ min: 1, max: 3 }), later: fc.integer({ min: 1, max: 3 }), by: fc.boolean() })
  .map(({ first, later, by }) => [
    ...held,
    ...[append(0, first), { do: 'operator', wish: 'skip' } as const, append(0, later), ...old],
    ...[by ? turn : due, append(0, 1), turn, due],
  ])

export const RARE_ISOLATING: Readonly<Record<string, Command[]>> = {
  'hold rooms': held,
  'try a held room': [...held, operator('retry'), due],
  'drop what is set aside of a held room': [...held, operator('drop'), due],
  'hold a dropped room no more': [...held, append(0, 2), operator('retry'), due, operator('drop'), due],
  'sticky events of held rooms go alone': [...held, append(0, 1, 30 * MINUTE), turn, due],
  // A part of the log goes while a room waits.
  'what does a room that waits need': [
    ...[joins(0), joins(1), append(0, 5), refuses(2, 403), turn, append(1, 1), due, due, ...old],
  ],
}
