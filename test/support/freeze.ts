/** Freezes what a turn has planned, as the tests of other things need it. */
import { acknowledgeAndFreeze, type Frozen as Row } from '../../src/store/delivery/acknowledge-and-freeze.ts'
import type { Pool } from '../../src/store/db.ts'

export type Frozen = Omit<Row, 'wakeSeq' | 'answered' | 'fromPos'>

export const frozenRow = (frozen: Frozen): Row => ({
  ...frozen,
  fromPos: frozen.acknowledges.fromPos,
  wakeSeq: null,
  answered: null,
})

/** Per transaction: when it started, or null. */
export const freezeTransactions = (pool: Pool, frozen: readonly Frozen[]): Promise<(number | null)[]> =>
  acknowledgeAndFreeze(pool, frozen.map(frozenRow))
