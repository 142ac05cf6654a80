/** Is a destination owed nothing any more after an answer? Then it may be followed. */
import type { EduCursors } from '../store/delivery/leases.ts'
import { edusAs } from './edus.ts'
import { QUICK_MS } from './record.ts'
import type { Sending } from './rules/plan.ts'
import type { Ended } from './transaction.ts'

/** What a quick answer leaves: a destination that is owed nothing up to `position`, and no sticky event. */
export interface AllSettled {
  position: number
  /** It has listed a PDU in an answer. */
  lists: boolean
  /** Nothing of its EDUs is left up to there either. */
  durablePos: number
  ephemeralPos: number
  /** The database's time of the answer, ms since the epoch, and what the last transaction is to the next plan of EDUs. */
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
  return {
    position: acknowledges.position,
    lists: state.lists || judged.listsAny,
    durablePos: durable,
    ephemeralPos: ephemeral,
    now: Math.round(attempt.startedAt + result.durationMs),
    ephemeralAt: as === 'ephemeral' ? attempt.startedAt : state.ephemeralAt,
    eduAlone: as === 'alone',
  }
}
