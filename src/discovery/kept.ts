/**
 * For how long is an answer kept, and what replaces it? Decided by the answer, by what was kept before, and by its age.
 *
 * - An answer is fresh for its life. In the last part of it, it is asked for again in the background.
 * - A lookup that fails replaces neither a good answer nor a plain "there is none"; those count on, and are asked for
 *   again after waits that grow to an hour, until they are 48 hours old. Then nothing is known.
 * - Everything else replaces what was there at once.
 */
import { LONGEST_LIFE_MS } from '../pace/shared-answers.ts'
import { lifeOfError } from './lifetime.ts'

/** What an answer is worth. */
export type Rating =
  | {
      /** `absent`: there is none, and that was said. */
      readonly rank: 'good' | 'absent'
      readonly lifeMs: number
      readonly shareable: boolean
    }
  | {
      readonly rank: 'failed'
      /** The first wait; it doubles with each failure, up to the longest. */
      readonly firstErrorMs: number
      readonly longestErrorMs: number
      readonly shareable: boolean
    }

export interface KeptAnswer<A> {
  readonly answer: A
  /** From this age on it is asked for again. */
  readonly refreshMs: number
  /** From this age on it is used only where nothing better is to be had soon. */
  readonly freshMs: number
  /** From this age on it is not used. */
  readonly keepMs: number
  /** Lookups that failed in a row, the last one included. */
  readonly failures: number
}

export interface Before<A> {
  readonly kept: KeptAnswer<A>
  readonly ageMs: number
  readonly rating: Rating
}

/** What is kept once `answer` came; `since: 'now'` starts its age anew, `'before'` lets the age of the old one run on. */
export function keptAfter<A>(
  before: Before<A> | null,
  answer: A,
  rating: Rating,
  random: number,
): { readonly kept: KeptAnswer<A>; readonly since: 'now' | 'before' } {
  if (rating.rank !== 'failed') {
    const freshMs = Math.min(rating.lifeMs, LONGEST_LIFE_MS)
    // Spread, so that what was asked together is not asked again together.
    const refreshMs = freshMs * (0.75 + 0.15 * random)
    return { kept: { answer, refreshMs, freshMs, keepMs: LONGEST_LIFE_MS, failures: 0 }, since: 'now' }
  }
  const failures = (before?.kept.failures ?? 0) + 1
  const waitMs = lifeOfError(failures, random, rating)
  if (before !== null && before.rating.rank !== 'failed' && before.ageMs < before.kept.keepMs) {
    return { kept: { ...before.kept, refreshMs: before.ageMs + waitMs, failures }, since: 'before' }
  }
  const times = { refreshMs: waitMs, freshMs: waitMs, keepMs: LONGEST_LIFE_MS }
  return { kept: { answer, ...times, failures }, since: 'now' }
}
