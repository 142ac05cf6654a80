/**
 * How long do we wait? Every rule of contract 5.8, pure: a destination's row and the time in, times out.
 *
 * Four things say when a destination may be tried: its own backoff (`retryAt`), advice that it seems to be
 * alive (`adviceAt`: `server_up`, a join), a sticky event that would lapse (`deadlineAt`: `deadline.ts`) and an operator's wish
 * (`askedAt`). The earliest counts. An embargo
 * (`holdUntil`) is above them: a 429's `Retry-After` is honoured by all, a 410 by all but `server_up` and an operator.
 * An attempt that was brought forward and fails leaves failures and `retryAt` as they were, unless the
 * ordinary attempt's time came while it was under way: then it was that attempt.
 */
import type { WaitState } from '../../store/waits.ts'
import { withTry } from './deadline.ts'
import { LOCKED_INTERVALS } from './isolation.ts'

export type { WaitState }

export interface BackoffSettings {
  first_ms: number
  multiplier: number
  max_ms: number
  /** Each wait is multiplied by a random 1 ± jitter. */
  jitter: number
  /** One that has failed for longer is dead: it is tried once a week. */
  dead_after_ms: number
}

const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000
const DAY_MS = 86_400_000
/** The wait between two attempts to one that is dead, ms. */
export const DEAD_INTERVAL_MS = 7 * DAY_MS
/** A week is the wait of the dead alone, and an hour to a day that of those who let nobody in: however short the longest backoff is, no clock that was wrong has made them. */
export const ODD_INTERVALS: readonly number[] = [DEAD_INTERVAL_MS, ...LOCKED_INTERVALS]
/** The least wait after a 429 that came right after a takeover, ms. */
const TAKEOVER_WAIT_MS = 1_000

/** When it may be tried next; a time not after `now` means: now. */
export function nextAttempt(row: WaitState, now: number): number {
  const advised = row.adviceAt ?? Infinity
  const asked = row.askedAt ?? Infinity
  const due = Math.min(row.retryAt ?? now, advised, row.deadlineAt ?? Infinity, asked)
  if (row.holdUntil === null || row.holdUntil <= now) return due
  if (row.holdKind === 'retry_after') return Math.max(due, row.holdUntil)
  return Math.min(Math.max(due, row.holdUntil), asked, row.adviceUp ? advised : Infinity)
}

/** Whether it has failed for so long that it counts as dead (contract, section 4). Advice and operators still bring an attempt forward. */
export const isDead = (failingSince: number | null, now: number, deadAfterMs: number): boolean =>
  failingSince !== null && now - failingSince > deadAfterMs

/** The wait before attempt `failures + 1`, ms, without jitter. */
export function interval(
  failures: number,
  { first_ms, multiplier, max_ms }: Pick<BackoffSettings, 'first_ms' | 'multiplier' | 'max_ms'>,
): number {
  return Math.round(Math.min(max_ms, first_ms * multiplier ** Math.max(0, failures - 1)))
}

/** The wait before the next half of a search, after so many in vain, ms: no longer than a day, as more than that is a wrong clock's (`halfAt` in `isolation.ts`). */
export const waitOfHalf = (failures: number, settings: Parameters<typeof interval>[1]): number =>
  Math.min(DAY_MS, interval(failures, settings))

export interface Failure {
  /** 'busy': a 429; 'gone': a 410; 'failed': anything else that is the destination's trouble. */
  kind: 'busy' | 'gone' | 'failed'
  retryAfterMs: number | null
  /** The first request after another process' lease ended: the receiver may still be at the old one. */
  afterTakeover: boolean
  startedAt: number
  /** It was refused for the first or second time: the next attempt is no later than this after it, ms (`isolation.ts`). Null: as ever. */
  soonMs?: number | null
  /** The wait that its refusal of everything asks for, ms, in the place of its backoff. */
  lockedMs?: number | null
}

/** Whether its backoff goes on: what is attempted all the same was brought forward. */
export const backsOff = ({ retryAt, failures }: WaitState, now: number): boolean =>
  retryAt !== null && retryAt > now && failures > 0

/** The row after an attempt that failed. Wishes that came while it was under way are kept (they count after it). */
export function afterFailure(
  row: WaitState,
  failure: Failure,
  now: number,
  { settings, random }: { settings: BackoffSettings; random: () => number },
): WaitState {
  const { startedAt } = failure
  const advised = row.adviceAt !== null && row.adviceAt <= startedAt
  const asked = row.askedAt !== null && row.askedAt <= startedAt
  // Before the end of its backoff, or of the day after a 410 (a 410 still allows `server_up` and an operator).
  const early = [row.retryAt, row.holdUntil].some((until) => until !== null && until > startedAt)
  const next: WaitState = {
    ...row,
    adviceAt: advised ? null : row.adviceAt,
    adviceUp: advised ? false : row.adviceUp,
    askedAt: asked ? null : row.askedAt,
    deadlineAt: null,
    triedAt: now,
    // Nothing else brings an attempt forward.
    deadlineTries: early && !advised && !asked ? withTry(row.deadlineTries, startedAt) : row.deadlineTries,
  }
  if (advised && early) {
    next.adviceStep = Math.min(HOUR_MS, row.adviceStep === null ? MINUTE_MS : row.adviceStep * 2)
    next.adviceAfter = now + next.adviceStep
  }
  if (failure.kind === 'busy' && failure.retryAfterMs !== null) {
    next.holdKind = 'retry_after'
    next.holdUntil = now + Math.min(failure.retryAfterMs, DAY_MS)
  }
  if (failure.kind === 'busy' && failure.afterTakeover) {
    next.retryAt = Math.max(now + TAKEOVER_WAIT_MS, row.retryAt ?? 0)
    return next
  }
  if (failure.kind === 'gone') {
    next.holdKind = 'gone'
    next.holdUntil = now + DAY_MS
  }
  next.failingSince ??= now
  const { soonMs = null, lockedMs = null } = failure
  if (backsOff(row, now) && lockedMs === null) {
    if (soonMs !== null) next.retryAt = Math.min(row.retryAt ?? Infinity, now + soonMs)
    return next
  }
  next.failures = row.failures + 1
  // One that answers, if only to refuse, is not waited for as one that is dead.
  const usual = isDead(next.failingSince, now, settings.dead_after_ms)
    ? DEAD_INTERVAL_MS
    : interval(next.failures, settings)
  next.retryInterval = lockedMs ?? soonMs ?? usual
  next.retryAt = now + Math.floor(next.retryInterval * (1 + settings.jitter * (2 * random() - 1)))
  return next
}

/** The row after a 200: nothing of the failures is left. */
export function afterSuccess(row: WaitState, startedAt: number): WaitState {
  return {
    failures: 0,
    failingSince: null,
    retryAt: null,
    retryInterval: null,
    holdKind: null,
    holdUntil: null,
    adviceAt: null,
    adviceUp: false,
    adviceAfter: null,
    adviceStep: null,
    askedAt: row.askedAt !== null && row.askedAt > startedAt ? row.askedAt : null,
    deadlineAt: null,
    triedAt: null,
    deadlineTries: [],
  }
}

/**
 * The row with waits that no rule can have made cut down: a clock that was wrong once must not delay a
 * destination for longer than a right one could. Where the row says how long a wait was when it began, it is no longer
 * than that: a clock that is set back by an hour makes no hour out of five seconds.
 */
export function withoutImpossibleWaits(row: WaitState, now: number, settings: BackoffSettings): WaitState {
  const isOdd = row.retryInterval !== null && ODD_INTERVALS.includes(row.retryInterval)
  const most = isOdd ? Infinity : settings.max_ms
  const longest = now + Math.ceil(Math.min(most, row.retryInterval ?? Infinity) * (1 + settings.jitter))
  const cut = (at: number | null, latest: number) => (at !== null && at > latest ? latest : at)
  return {
    ...row,
    retryAt: cut(row.retryAt, longest),
    holdUntil: cut(row.holdUntil, now + DAY_MS),
    adviceAfter: cut(row.adviceAfter, now + Math.min(row.adviceStep ?? HOUR_MS, HOUR_MS)),
    adviceAt: cut(row.adviceAt, now + HOUR_MS),
  }
}
