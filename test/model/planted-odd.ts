/** Planted bugs in how odd events go alone, and after everything else (see `planted.ts`). */
import { keyOf } from './memory/rows.ts'
import type { Run } from './memory/statement.ts'
import { odd } from './odd.ts'
import { then } from './plant.ts'
import { suspected } from './planted-isolating.ts'
import type { Bug } from './planted.ts'

const withRows =
  (change: (row: Record<string, unknown>) => object) =>
  (right: Run): Run =>
  (call, values) => {
    const rows = right(call, values)
    return typeof rows === 'number' ? rows : rows.map((row) => change(row as Record<string, unknown>))
  }

export const ODD_BUGS: readonly Bug[] = [
  {
    bug: 'an odd PDU among others',
    how: 'ingest does not note which events are odd',
    plant: () => ({
      statements: {
        'insert events': (right) => (call, values) => right(call, [...values.slice(0, -1), [] as never]),
      },
    }),
    drawn: odd,
    breaks: /what is odd goes alone/,
  },
  {
    bug: 'an odd PDU that is searched among others',
    how: 'what is apart is not known to be odd',
    plant: () => ({ statements: { 'read what is apart': withRows((row) => ({ ...row, odd: false })) } }),
    drawn: odd,
    breaks: /what is odd goes (alone|last)/,
  },
  {
    bug: 'an odd PDU lost',
    how: 'the position passes one that is to go last, and it has no row',
    plant: () => ({
      statements: {
        'take out what goes last': then<[string, number, number, number, number, number]>(
          ({ t }, [, , id, , , pos]) => {
            if (t.apart.get(keyOf.apart(id, pos)) !== undefined) t.apart.delete(keyOf.apart(id, pos))
          },
        ),
      },
    }),
    drawn: odd,
    breaks: /position passes only what was sent/,
  },
  {
    bug: 'an odd PDU in doubt that its room overtakes',
    how: 'what is odd goes after the rest of its room too',
    seed: 9,
    plant: () => ({
      statements: {
        // Of a room of its own, as the order of what is searched sees it.
        'read what is apart': withRows((row) =>
          row['odd'] === true && row['grp'] !== null ? { ...row, room: -Number(row['pos']) } : row,
        ),
      },
    }),
    drawn: odd,
    breaks: /what a gateway refuses keeps its place/,
  },
  {
    bug: 'an odd PDU, asked about after one refusal',
    how: 'what is to go last counts as refused before it was sent',
    plant: () => ({ statements: { 'take out what goes last': suspected(2) } }),
    seed: 9,
    drawn: odd,
    breaks: /an empty transaction asks whose fault it is/,
  },
  {
    bug: 'an odd PDU that goes first',
    how: 'one that is to go last counts as having waited for long',
    plant: () => ({ statements: { 'read what is apart': withRows((row) => ({ ...row, since: 0 })) } }),
    drawn: odd,
    breaks: /what is odd goes last/,
  },
]
