/** Planted bugs in what is tried before its backoff ends, because a sticky event would lapse (see `planted.ts`). */
import type { DestinationRow } from './memory/rows.ts'
import { SETTINGS } from './driver.ts'
import { lapsing } from './lapsing.ts'
import { changingWaits } from './plant.ts'
import type { Bug } from './planted.ts'

export const LAPSING_BUGS: readonly Bug[] = [
  {
    bug: 'a deadline try that resets a backoff',
    how: 'an attempt that was brought forward and fails leaves no wait behind',
    plant: () => ({
      statements: {
        'end the attempt': changingWaits(({ startedAt, waiting }) =>
          (waiting.retryAt ?? 0) > startedAt + 3 * SETTINGS.backoff.first_ms &&
          waiting.deadlineTries.length > 0
            ? { ...waiting, failures: 1, retryAt: startedAt + SETTINGS.backoff.first_ms }
            : waiting,
        ),
      },
    }),
    drawn: lapsing,
    breaks: /a try before its time leaves the backoff as it was/,
  },
  {
    bug: 'a deadline try that raises a backoff',
    how: 'an attempt that was brought forward and fails doubles the wait',
    plant: () => ({
      statements: {
        'end the attempt': changingWaits(({ waiting, startedAt }) => {
          const { deadlineTries, failures, retryAt, retryInterval } = waiting
          if (deadlineTries.at(-1) !== startedAt) return waiting
          const more = retryInterval ?? 0
          return {
            ...waiting,
            failures: failures + 1,
            retryAt: (retryAt ?? 0) + more,
            retryInterval: 2 * more,
          }
        }),
      },
    }),
    drawn: lapsing,
    breaks: /a try before its time leaves the backoff as it was/,
  },
  {
    bug: 'a deadline try despite Retry-After',
    how: 'a sticky event that would lapse brings an attempt forward, whatever the destination asked for',
    plant: () => ({
      statements: {
        'look at the destination': (right) => (call, values) =>
          (right(call, values) as DestinationRow[]).map((row) =>
            row.hold_kind === 'retry_after'
              ? {
                  ...row,
                  retry_at: Math.max(row.retry_at ?? 0, row.hold_until ?? 0),
                  hold_kind: null,
                  hold_until: null,
                }
              : row,
          ),
      },
    }),
    drawn: lapsing,
    breaks: /held by retry after/,
  },
  {
    bug: 'a deadline try for what is owed no more',
    how: 'what a destination was owed sticky is not asked again when the time has come',
    plant: () => ({
      statements: {
        'which sticky event lapses soonest': (right) => (call, values) => {
          const found = right(call, values) as { lapses_at: number | null }[]
          if (found[0]?.lapses_at != null) return found
          const lapsesAt = call.now + 60_000
          return [{ lapses_at: lapsesAt, since: call.now - 3_600_000, newest: 0, latest: lapsesAt }]
        },
      },
    }),
    drawn: lapsing,
    breaks: /decided at \d+, held by backoff/,
  },
  {
    bug: 'a sticky event lapses because nobody tries',
    how: 'a look at a failing destination does not know what it is owed',
    plant: () => ({
      statements: {
        'which sticky event lapses soonest': () => () => [
          { lapses_at: null, since: null, newest: null, latest: null },
        ],
      },
    }),
    drawn: lapsing,
    breaks: /a sticky event is tried in time/,
  },
  {
    bug: 'one that can’t be helped any more hides those that lapse later',
    how: 'when the soonest has lapsed nobody looks for the next',
    plant: () => ({
      statements: {
        'which sticky event lapses soonest': (right) => (call, values) =>
          (right(call, values) as { lapses_at: number | null }[]).map((row) => ({
            ...row,
            latest: row.lapses_at,
          })),
      },
    }),
    drawn: lapsing,
    breaks: /a sticky event is tried in time/,
  },
  {
    bug: 'a new sticky event for a failing destination is not seen',
    how: 'the fanout brings no look forward',
    plant: () => ({ statements: { 'who fails and is owed new sticky events': () => () => [] } }),
    drawn: lapsing,
    breaks: /a sticky event is tried in time/,
  },
]
