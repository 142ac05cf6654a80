/** Is a destination owed nothing any more but what waits for its time? Then it may be followed. */
import type { EduCursors } from '../store/delivery/leases.ts'
import type { DestinationState } from '../store/delivery/destination.ts'
import { edusAs, type WithEdus } from './edus.ts'
import { QUICK_MS } from './record.ts'
import type { Sending } from './rules/plan.ts'
import type { Ended } from './transaction.ts'

/** What a quick answer leaves, or a look that sends nothing yet: a destination that is owed nothing up to `position`, and no sticky event. */
export interface AllSettled {
  position: number
  /** It has listed a PDU in an answer. */
  lists: boolean
  /** Nothing of its EDUs is left up to there either. */
  durablePos: number
  ephemeralPos: number
  /** When the last quick answer came, ms since the epoch; null: none ever did. */
  lastSuccess: number | null
  /** The database's time of that or of the look, ms since the epoch, and what the last transaction is to the next plan of EDUs. */
  now: number
  ephemeralAt: number | null
  eduAlone: boolean
}

/** After a quick answer, where neither a gap is open nor a sticky event was sent or is owed; else null. `left`: where the cursors are if no EDU goes; null: at the head. */
export function settledBy(
  ended: Ended,
  { pdus, acknowledges, edus }: Sending,
  left: EduCursors | null,
): AllSettled | null {
  if (ended.kind !== 'ended' || ended.judged.kind !== 'answered') return null
  const { attempt, result, judged } = ended
  const { state, connectMs, anySticky } = attempt
  const { head } = state
  // Of lanes that were not read the stream has nothing newer.
  const { durable, ephemeral } = edus?.cursors ?? left ?? { durable: head, ephemeral: head }
  const as = edusAs(pdus.length, edus)
  if (anySticky || state.gap !== null || Math.max(connectMs, result.durationMs) >= QUICK_MS) return null
  const now = Math.round(attempt.startedAt + result.durationMs)
  return {
    position: acknowledges.position,
    lists: state.lists || judged.listsAny,
    durablePos: durable,
    ephemeralPos: ephemeral,
    ...{ now, lastSuccess: now },
    ephemeralAt: as === 'ephemeral' ? attempt.startedAt : state.ephemeralAt,
    eduAlone: as === 'alone',
  }
}

/**
 * Nothing but EDUs waits, for their time: who reads the log sends them then, and what comes meanwhile wakes no turn. Null where more than that is owed, or it was
 * slow. `now`: ms since the epoch.
 */
export function settledUntil(
  state: DestinationState,
  { plan, left }: Extract<WithEdus, { do: 'wait' }>,
  now: number,
): AllSettled | null {
  const { quick, gap, owed, unlistedAt, position, lists, lastSuccess, ephemeralAt, eduAlone } = state
  if (left === null || !quick || gap !== null || owed.length > 0 || unlistedAt !== null) return null
  return {
    position: plan.do === 'move' ? plan.acknowledges.position : position,
    ...{ lists, lastSuccess, now, ephemeralAt, eduAlone },
    ...{ durablePos: left.durable, ephemeralPos: left.ephemeral },
  }
}
