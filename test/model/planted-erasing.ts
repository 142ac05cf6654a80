/** Planted bugs in what an `erase` takes (see `planted.ts`). */
import { erasing } from './erasing.ts'
import type { Run } from './memory/statement.ts'
import type { Bug } from './planted.ts'

/** It takes only those of its events that `goes` names. */
const sparing =
  (goes: (pos: number, call: Parameters<Run>[0]) => boolean) =>
  (right: Run): Run =>
  (call, values) => {
    const [positions, senders, changes] = values as unknown as [number[], (string | null)[], string]
    const left = positions
      .map((pos, i) => [pos, senders[i] ?? null] as const)
      .filter(([pos]) => goes(pos, call))
    return right(call, [
      left.map(([pos]) => pos),
      left.map(([, sender]) => sender),
      changes,
    ] as unknown as never[])
  }

export const ERASING_BUGS: readonly Bug[] = [
  {
    bug: 'an erased text in a kept transaction goes again',
    how: 'an erasure leaves what is unanswered as it is, with its texts, and takes the rest',
    plant: () => ({
      statements: {
        'make void what holds it': () => () => 0,
        erase: sparing(
          (pos, { t }) => !t.open_transactions.all().some(({ positions }) => positions.includes(pos)),
        ),
      },
    }),
    drawn: erasing,
    breaks: /I12|I3/,
  },
  {
    bug: 'an erased sticky event is replayed to a joiner',
    how: 'an erasure leaves what is sticky in the log until it has lapsed',
    plant: () => ({ statements: { erase: sparing((pos, { t }) => t.sticky.get(pos) === undefined) } }),
    drawn: erasing,
    breaks: /I12|sticky no more/,
  },
  {
    bug: 'erasing takes a later event of the sender',
    how: 'a sender that was erased once stays erased: what comes of it goes at once',
    plant: () => {
      const gone = new Set<string>()
      return {
        statements: {
          erase: (right) => (call, values) => {
            for (const sender of values[1] as unknown as (string | null)[])
              if (sender !== null) gone.add(sender)
            return right(call, values)
          },
          'insert events': (right) => (call, values) => {
            const result = right(call, values)
            for (const { pos, sender } of call.t.events.all()) if (gone.has(sender)) call.t.events.delete(pos)
            return result
          },
        },
      }
    },
    drawn: erasing,
    seed: 3,
    breaks: /passes only what was sent|I6|sticky event/,
  },
  {
    bug: 'what came while the log was read through is not erased',
    how: 'under the lock nobody asks what was stored of the sender since the log was read through',
    plant: () => {
      let upto = 0
      return {
        statements: {
          'what is stored of senders': (right) => (call, values) => {
            const [after, to] = values as unknown as [number, number]
            // What is asked under the lock begins where the first one ended.
            if (after === upto && after > 0) return []
            upto = to
            return right(call, values)
          },
        },
      }
    },
    drawn: erasing,
    breaks: /I12|sticky no more/,
  },
  {
    bug: 'a text that was erased is frozen from memory',
    how: 'a freeze asks for redactions and purges since its texts were read, not for erasures',
    plant: () => ({
      statements: {
        'acknowledge and freeze': (right) => (call, values) => {
          const { changes } = call.t
          const all = () => changes.all().filter(({ kind }) => kind !== 'erase')
          return right({ ...call, t: { ...call.t, changes: { ...changes, all } } }, values)
        },
      },
    }),
    drawn: erasing,
    breaks: /I12/,
  },
]
