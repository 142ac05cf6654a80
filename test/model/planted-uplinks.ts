/** Planted bugs in what is done when a process takes failures for its own fault (see `planted.ts`). */
import type { PutBack } from '../../src/store/delivery/own-trouble.ts'
import type { Bug } from './planted.ts'
import type { Call, Run } from './memory/statement.ts'
import { uplinks } from './uplinks.ts'

/** What is put back is something else. */
const puttingBack =
  (change: (one: PutBack, call: Call) => PutBack) =>
  (right: Run): Run =>
  (call, values) => {
    const [json] = values as unknown as [string]
    const them = (JSON.parse(json) as PutBack[]).map((one) => change(one, call))
    return right(call, [JSON.stringify(them), them.length] as never)
  }

export const UPLINK_BUGS: readonly Bug[] = [
  {
    bug: 'what is put back forgets an unanswered transaction',
    how: 'with its waits, what a destination has not answered is taken away, too',
    plant: () => ({
      statements: {
        'put back what failed for us': (right) => (call, values) => {
          const rows = right(call, values) as { id: number }[]
          for (const { id } of rows) call.t.open_transactions.delete(id)
          return rows
        },
      },
    }),
    drawn: uplinks,
    breaks: /I2|I3/,
  },
  {
    bug: 'a failure of our own that leaves a backoff',
    how: 'of several failures in a row only the last is undone',
    plant: () => ({
      statements: {
        'put back what failed for us': puttingBack((one) =>
          one.after.failures > one.before.failures + 1
            ? { ...one, before: { ...one.before, failures: one.after.failures - 1 } }
            : one,
        ),
      },
    }),
    drawn: uplinks,
    breaks: /what is put back is as it was/,
  },
  {
    bug: 'what was their fault is put back, too',
    how: 'whatever failed before is forgotten with what failed by our own fault',
    plant: () => ({
      statements: {
        'put back what failed for us': puttingBack((one) => ({
          ...one,
          before: { ...one.before, failures: 0, failingSince: null, retryAt: null, retryInterval: null },
        })),
      },
    }),
    drawn: uplinks,
    breaks: /what is put back is as it was/,
  },
  {
    bug: 'what is put back overwrites what happened since',
    how: 'a row is put back also where another attempt has changed it',
    plant: () => ({
      statements: {
        'put back what failed for us': puttingBack((one, { t }) => {
          const d = t.destinations.get(one.destination)
          if (d === undefined) return one
          return { ...one, after: { failures: d.failures, retryAt: d.retry_at, triedAt: d.tried_at } }
        }),
      },
    }),
    drawn: uplinks,
    breaks: /what is put back/,
  },
  {
    bug: 'the time of our own trouble lies ahead',
    how: 'it is taken out of the time in which a destination failed as often as there are processes',
    plant: () => ({
      statements: {
        'leave own trouble out': (right) => (call, values) => {
          const before = new Map(call.t.destinations.all().map((d) => [d.id, d.failing_since]))
          const count = right(call, values)
          for (const { id, failing_since: now } of call.t.destinations.all()) {
            const was = before.get(id)
            if (now !== null && was != null) call.t.destinations.change(id, { failing_since: 2 * now - was })
          }
          return count
        },
      },
    }),
    drawn: uplinks,
    breaks: /own trouble counts for nobody/,
  },
  {
    bug: 'a process in trouble does not say so to its rows',
    how: 'what is put back is due when its time comes, not when the trouble is over, and nobody looks at it before',
    plant: () => ({
      statements: {
        'put back what failed for us': (right) => (call, values) => {
          const rows = right(call, values) as { id: number }[]
          for (const { id } of rows) call.t.destinations.change(id, { look_at: null })
          return rows
        },
        'give way': (right) => (call, values) => {
          const [, , id] = values as unknown as [string, number, number]
          const rows = right(call, values)
          call.t.destinations.change(id, { look_at: null })
          return rows
        },
        'who was missed': () => () => 0,
      },
    }),
    drawn: uplinks,
    breaks: /everything owed arrives|settled|I6|tried in time/,
  },
]
