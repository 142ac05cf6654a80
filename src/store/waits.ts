/**
 * When may a destination be tried again? The fourteen columns of its row that say so, and that belong together.
 *
 * `deliver/rules/backoff.ts` has the rules. Times are ms since the epoch.
 */
export interface WaitState {
  failures: number
  failingSince: number | null
  /** Next ordinary attempt; null: any time. */
  retryAt: number | null
  /** The wait before `retryAt`, ms, without its jitter. */
  retryInterval: number | null
  holdKind: 'retry_after' | 'gone' | null
  holdUntil: number | null
  adviceAt: number | null
  /** The advice was a `server_up`. */
  adviceUp: boolean
  /** No advice is followed before this. */
  adviceAfter: number | null
  /** The wait that led to `adviceAfter`, ms. */
  adviceStep: number | null
  askedAt: number | null
  /** A deadline try (`deliver/rules/deadline.ts`), as the last look planned it. */
  deadlineAt: number | null
  /** When the last attempt failed; null: not since this is written down. */
  triedAt: number | null
  /** When the last deadline tries that failed began, the oldest first. */
  deadlineTries: readonly number[]
}

/** The same as it stands in `destinations`. */
export interface WaitRow {
  failures: number
  failing_since: number | null
  retry_at: number | null
  retry_interval: number | null
  hold_kind: 'retry_after' | 'gone' | null
  hold_until: number | null
  advice_at: number | null
  advice_up: boolean
  advice_after: number | null
  advice_step: number | null
  asked_at: number | null
  deadline_at: number | null
  tried_at: number | null
  deadline_tries: number[] | null
}

/** SQL: the columns of a `WaitRow`, of `d`. */
export const WAIT_COLUMNS = `d.failures, d.failing_since, d.retry_at,
         d.retry_interval, d.hold_kind, d.hold_until, d.advice_at, d.advice_up, d.advice_after, d.advice_step, d.asked_at,
         d.deadline_at, d.tried_at, d.deadline_tries`

/** SQL: sets all of them to what they are where nothing has failed; `asked_at` is its caller's. */
export const NO_WAITS = `failures = 0, failing_since = null, retry_at = null, retry_interval = null, hold_kind = null, hold_until = null,
          advice_at = null, advice_up = false, advice_after = null, advice_step = null,
          deadline_at = null, tried_at = null, deadline_tries = null`

/**
 * SQL: what is known of refusals is none of them any more (`isolation.ts`); what is apart stays so. Of an expression that may be null, which stays
 * so.
 */
export const withoutRefusals = (isolation: string): string =>
  `nullif(${isolation}, 'null') || '{"refusals": 0, "last": null, "asks": false, "locked": null, "timeouts": 0}'`

/** Those that are times to come, with `look_at`, which follows from them: they move with the clock. */
export const TIMES_AHEAD = [
  'retry_at',
  'hold_until',
  'advice_at',
  'advice_after',
  'deadline_at',
  'look_at',
] as const

export const waitingOf = (row: WaitRow): WaitState => ({
  failures: row.failures,
  failingSince: row.failing_since,
  retryAt: row.retry_at,
  retryInterval: row.retry_interval,
  holdKind: row.hold_kind,
  holdUntil: row.hold_until,
  adviceAt: row.advice_at,
  adviceUp: row.advice_up,
  adviceAfter: row.advice_after,
  adviceStep: row.advice_step,
  askedAt: row.asked_at,
  deadlineAt: row.deadline_at,
  triedAt: row.tried_at,
  deadlineTries: row.deadline_tries ?? [],
})
