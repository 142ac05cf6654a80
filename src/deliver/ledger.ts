/**
 * What a transaction asks of whoever keeps the books of its destination. Two keep them: *rows*, for a turn that has looked at the rows,
 * writes everything down at once; *running* (`running-ledger.ts`), for a destination that is followed, writes an ordinary answer down
 * with the next freeze.
 */
import type { Frozen } from '../store/delivery/acknowledge-and-freeze.ts'
import type { Attempt, Judgement } from './record.ts'

export interface Ledger {
  /** What the freeze writes, and asks, beside the transaction itself. */
  beside(): Pick<Frozen, 'wakeSeq' | 'answered'>
  /** The freeze is written, and what was beside it. */
  frozen(): void
  /** Whether it keeps what an attempt came to; else that is written down at once. */
  keeps(attempt: Attempt, judgement: Judgement): boolean
}

export const ROWS: Ledger = {
  // Who has looked at the rows has seen every wish.
  beside: () => ({ wakeSeq: null, answered: null }),
  frozen: () => undefined,
  keeps: () => false,
}
