/** What a search for refused PDUs was once broken by: each schedule is the shortest that showed it. */
import type { Remote } from './remote.ts'
import { MINUTE, SECOND, type Audience, type Command } from './schedule.ts'

const joins = (room: number): Command => ({ do: 'join', room, door: '1', break: null })
const append = (room: number, count: number, audience: Audience = 'room'): Command => ({
  ...{ do: 'append', room, count, stickyMs: null, audience, size: 60, door: '1', break: null },
})
const is = (remote: Remote): Command => ({ do: 'remote', remote })
const refuses = (each: number, status: 400 | 403 | 500): Command =>
  is({ does: 'refuses', each, status, empty: 200 })
const turn: Command = { do: 'turn', by: 'A', break: null }
const due: Command = { do: 'until due' }

/** A search ends while a gap is open, whose cursor is past what the room missed. */
export const endsWithinAGap: Command[] = [
  ...[joins(0), joins(1), append(0, 1), refuses(7, 500), append(0, 6), due, append(0, 1), append(1, 1)],
  ...[{ do: 'time', ms: 6 * MINUTE } as const, turn, { do: 'time', ms: 16 * MINUTE } as const],
  ...[append(2, 6, 'also to us'), turn],
]

export const SHOWN: Readonly<Record<string, Command[]>> = {
  'a room that waits does not end behind the gap that has passed what it missed': endsWithinAGap,
  'what comes in the place of a transaction that was refused is not asked about': [
    ...[joins(0), append(0, 3), refuses(3, 500), turn, due, { do: 'time', ms: 30 * SECOND } as const],
    {
      do: 'turn',
      by: 'A',
      break: {
        at: 'the answer',
        happens: [{ do: 'operator', wish: 'skip' }, append(0, 1), is({ does: 'times out' })],
        then: 'goes on',
      },
    },
    ...[due, due],
  ],
}
