/**
 * What a transaction asks about the books of its destination. There are two ledgers. *Rows* belongs to a turn and writes every result at
 * once. *Running* (`follow/running-ledger.ts`) belongs to a followed destination: it keeps an ordinary answer and writes it with the next freeze.
 */
import type { Frozen } from '../store/delivery/acknowledge-and-freeze.ts'
import type { Attempt } from './attempt.ts'
import type { Judgement } from './record.ts'
import type { EduCursors } from '../store/delivery/leases.ts'
import type { ChosenPdu } from './rules/plan.ts'

/** What was frozen. */
export interface FrozenNow {
  pdus: readonly ChosenPdu[]
  /** The cursors of EDUs after an answer; null: they stay. */
  cursors: EduCursors | null
  /** What it is to the next plan of EDUs. */
  edusAs: Frozen['edusAs']
  /** When, by the database's clock, ms since the epoch. */
  at: number
}

export interface Ledger {
  /** What the freeze writes, and asks, beside the transaction itself. */
  beside(): Pick<Frozen, 'wakeSeq' | 'answered'>
  /** The freeze is written, and what was beside it. */
  frozen(now: FrozenNow): void
  /** Keeps the result in memory and returns true, or returns false: it must be written now. */
  keeps(attempt: Attempt, judgement: Judgement): boolean
}

export const ROWS: Ledger = {
  // A turn has just looked at the rows, so it has seen every wish.
  beside: () => ({ wakeSeq: null, answered: null }),
  frozen: () => undefined,
  keeps: () => false,
}
