/**
 * When is a failing destination tried so that a sticky event still arrives before it lapses? (contract 5.8) Pure.
 *
 * Such a try is an attempt that is brought forward: at 1/2, 3/4, 7/8 and 15/16 of the life that was left to the sticky event that lapses
 * soonest when it came, or when the destination began to fail, if that was later; and for one that came since the last attempt, as it has
 * not been tried at all. An attempt of any kind stands for all these moments up to its end.
 *
 * Always: no deadline try within `deadline_retry_min_ms` of the attempt before it, a hold (429, 410) or the eight others of the last hour;
 * none at or after the lapse, nor once the destination has failed for `long_outage_ms`.
 */
import type { WaitState } from '../../store/waits.ts'
import type { OwedSticky } from '../../store/delivery/soonest-lapse.ts'

export interface DeadlineSettings {
  deadline_retries: boolean
  /** The least time between an attempt and a deadline try after it, ms. */
  deadline_retry_min_ms: number
  /** One that has failed for so long gets none, ms. */
  long_outage_ms: number
}

const HOUR_MS = 3_600_000
const MOST_AN_HOUR = 8
/** Of these so many may be for something new: else a room where much is said uses up what the last moments of a life need. */
const MOST_FOR_NEW = 4
const FRACTIONS = [1 / 2, 3 / 4, 7 / 8, 15 / 16]

/** When the next deadline try is, ms since the epoch; not after `now`: it is due. Null: there is none. */
export function nextDeadlineTry(
  row: WaitState,
  owed: OwedSticky | null,
  now: number,
  settings: DeadlineSettings,
): number | null {
  const { failingSince, holdUntil } = row
  if (!settings.deadline_retries || owed === null || failingSince === null) return null
  const tried = Math.min(row.triedAt ?? failingSince, now)
  const tries = lastHour(row.deadlineTries, now)
  const from = Math.max(owed.since, failingSince)
  const moments = FRACTIONS.map((part) => from + Math.ceil(part * (owed.lapsesAt - from)))
  const wanted = [...(tries.length < MOST_FOR_NEW ? [owed.newest] : []), ...moments].filter(
    (at) => at > tried,
  )
  const eighth = tries.at(-MOST_AN_HOUR)
  const at = Math.max(
    Math.min(...wanted),
    tried + settings.deadline_retry_min_ms,
    holdUntil ?? 0,
    eighth === undefined ? 0 : eighth + HOUR_MS,
  )
  const begins = Math.max(at, now)
  return begins < owed.lapsesAt && begins - failingSince < settings.long_outage_ms ? at : null
}

/**
 * When it is looked at again for what is sticky, ms since the epoch: at the next deadline try, or, where the one that lapses soonest can't be
 * helped any more and others lapse later, when that has lapsed and a try may come again. Null: neither.
 */
export function nextDeadlineLook(
  row: WaitState,
  owed: OwedSticky | null,
  now: number,
  settings: DeadlineSettings,
): { at: number; tries: boolean } | null {
  const at = nextDeadlineTry(row, owed, now, settings)
  if (at !== null) return { at, tries: true }
  const { deadline_retries, deadline_retry_min_ms, long_outage_ms } = settings
  const { failingSince, triedAt, holdUntil } = row
  if (!deadline_retries || owed === null || failingSince === null || owed.latest <= owed.lapsesAt) return null
  const earliest = Math.max(Math.min(triedAt ?? failingSince, now) + deadline_retry_min_ms, holdUntil ?? 0)
  const again = Math.max(owed.lapsesAt, earliest)
  return again < owed.latest && again - failingSince < long_outage_ms ? { at: again, tries: false } : null
}

/** Whether a deadline try may come at all before `ordinary`, whatever is owed: who it can't help is asked nothing. */
export const mayHaveDeadlineTry = (
  { failingSince, triedAt, holdUntil }: WaitState,
  { now, ordinary }: { now: number; ordinary: number },
  { deadline_retries, deadline_retry_min_ms, long_outage_ms }: DeadlineSettings,
): boolean =>
  deadline_retries &&
  failingSince !== null &&
  now - failingSince < long_outage_ms &&
  Math.max(Math.min(triedAt ?? failingSince, now) + deadline_retry_min_ms, holdUntil ?? 0) < ordinary

/** The tries that still count, with the one that began at `startedAt`. */
export const withTry = (tries: readonly number[], startedAt: number): number[] =>
  [...lastHour(tries, startedAt), startedAt].slice(-MOST_AN_HOUR)

// What lies ahead is from a clock that has been set back since.
const lastHour = (tries: readonly number[], now: number): number[] =>
  tries.filter((at) => at > now - HOUR_MS && at <= now)
