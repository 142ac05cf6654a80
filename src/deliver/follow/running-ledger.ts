/**
 * The books of a destination that is followed: an ordinary answer is written down with the next freeze, in one statement
 * (`store/delivery/acknowledge-and-freeze.ts`), or by itself where nothing comes next. In a crash before that the same bytes go again.
 *
 * Always: an answer is kept only where it changes nothing but the position and the cursors of EDUs; everything else is written down at once, and the rows are
 * looked at.
 */
import type { Ledger } from '../ledger.ts'
import type { ChosenPdu } from '../rules/plan.ts'
import type { OwedEvent } from './log-ring.ts'
import { settleEdus, type WaitingFor } from './plan-waiting.ts'
import { passEdus } from './waiting.ts'
import type { Attempt } from '../attempt.ts'
import { QUICK_MS, record, type Judgement, type RecordNeeds } from '../record.ts'

export interface Books extends WaitingFor {
  /** What was answered, and is written down with the next freeze. */
  answered: { attempt: Attempt; judgement: Judgement } | null
}

/** The ledger of one that is followed. */
export function runningLedger(books: Books): Ledger {
  return {
    beside() {
      const { state, answered } = books
      return { wakeSeq: state.wakeSeq, answered: answered === null ? null : answeredOf(answered) }
    },
    frozen({ pdus, cursors, edusAs, at }) {
      const { state } = books
      books.answered = null
      books.waiting = without(books.waiting, pdus)
      books.waitsUntil = null
      if (cursors !== null) passEdus(books, cursors)
      state.eduAlone = edusAs === 'alone'
      if (edusAs === 'ephemeral') state.ephemeralAt = at
    },
    keeps(attempt, judgement) {
      if (!isOrdinary(attempt, judgement)) return false
      books.answered = { attempt, judgement }
      const { toPos, edus } = attempt.acknowledges
      books.state.position = toPos
      if (edus !== undefined)
        settleEdus(books, { durable: edus.durableTo ?? 0, ephemeral: edus.ephemeralTo ?? 0 })
      return true
    },
  }
}

const answeredOf = ({ attempt, judgement: { result, judged } }: NonNullable<Books['answered']>) => ({
  // An attempt that was answered has one.
  txnId: attempt.txnId ?? '',
  durationMs: result.durationMs,
  unlisted: judged.kind === 'answered' ? judged.unlisted : [],
})

/** What still waits: what came meanwhile stays. */
function without(waiting: OwedEvent[], pdus: readonly ChosenPdu[]): OwedEvent[] {
  const { length } = pdus
  // Only the timeline is followed, so what was chosen is the beginning, unless a look became due meanwhile.
  if (waiting[length - 1]?.event.pos === pdus[length - 1]?.pdu.pos) return waiting.slice(length)
  const sent = new Set(pdus.map(({ pdu }) => pdu.pos))
  return waiting.filter(({ event }) => !sent.has(event.pos))
}

/** It took long, with its connection: it belongs in the other queue. */
export const isSlow = ({ connectMs }: Attempt, { result }: Judgement): boolean =>
  connectMs + result.durationMs >= QUICK_MS

/** Nothing changes but its position and cursors. */
function isOrdinary(attempt: Attempt, judgement: Judgement): boolean {
  const { judged } = judgement
  if (judged.kind !== 'answered' || attempt.anySticky || isSlow(attempt, judgement)) return false
  return judged.pduErrors === null && (attempt.state.lists || !judged.listsAny)
}

/** Writes down the last answer, where nothing is frozen after it. False: the lease was over, and the same bytes go out again. */
export async function settle(needs: RecordNeeds, books: Books): Promise<boolean> {
  const { answered } = books
  if (answered === null) return true
  books.answered = null
  return (await record(needs, answered.attempt, answered.judgement)) !== null
}
