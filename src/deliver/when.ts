/**
 * When may a destination be tried? What its row says (`rules/backoff.ts`), and before that, while it fails, what a sticky event that is
 * owed to it asks for (`rules/deadline.ts`).
 *
 * Always: what is owed is asked again at each look. A time in the row only brings the look about, so nothing is tried for a sticky event
 * that has lapsed, was taken away or has arrived since.
 */
import type { Pool } from '../store/db.ts'
import type { DestinationState } from '../store/delivery/destination.ts'
import { readSoonestLapse } from '../store/delivery/soonest-lapse.ts'
import { asksAbout } from './rules/isolation.ts'
import { nextAttempt, withoutImpossibleWaits, type BackoffSettings } from './rules/backoff.ts'
import { mayHaveDeadlineTry, nextDeadlineLook, type DeadlineSettings } from './rules/deadline.ts'

export interface WhenNeeds {
  pool: Pool
  backoff: BackoffSettings
  deadline: DeadlineSettings
}

export type When =
  | {
      kind: 'now'
      /** Whether it still is, by a state that was read later. */
      still: (state: DestinationState) => boolean
    }
  /** Look again at `lookAt`; `deadlineAt`: when a deadline try is, if one is. */
  | { kind: 'later'; lookAt: number; deadlineAt: number | null }

export async function whenToTry(needs: WhenNeeds, state: DestinationState): Promise<When> {
  const { now, waiting } = state
  // What was refused is asked about right after that.
  if (state.open !== null && asksAbout(state.isolation, state.open) && !isHeld(state))
    return { kind: 'now', still: (later) => !later.paused && later.skipUpto === null && !isHeld(later) }
  const ordinary = dueAt(needs, state, null)
  const still =
    (deadlineAt: number | null) =>
    (later: DestinationState): boolean =>
      !later.paused && later.skipUpto === null && dueAt(needs, later, deadlineAt) <= later.now
  if (ordinary <= now) return { kind: 'now', still: still(null) }
  if (!mayHaveDeadlineTry(waiting, { now, ordinary }, needs.deadline))
    return { kind: 'later', lookAt: ordinary, deadlineAt: null }
  const owed = await readSoonestLapse(needs.pool, state)
  const next = nextDeadlineLook(waiting, owed, now, needs.deadline)
  if (next === null || next.at >= ordinary) return { kind: 'later', lookAt: ordinary, deadlineAt: null }
  const { at, tries } = next
  if (tries && at <= now) return { kind: 'now', still: still(at) }
  return { kind: 'later', lookAt: at, deadlineAt: tries ? at : null }
}

/** It asked not to be asked. */
const isHeld = ({ waiting: { holdUntil }, now }: DestinationState): boolean =>
  holdUntil !== null && holdUntil > now

/** What the row says of a deadline try does not count here. */
const dueAt = (
  { backoff }: Pick<WhenNeeds, 'backoff'>,
  { waiting, now }: DestinationState,
  deadlineAt: number | null,
): number => nextAttempt({ ...withoutImpossibleWaits(waiting, now, backoff), deadlineAt }, now)
