/**
 * How does retention delete texts that a holder may be about to freeze?
 *
 * It takes the lock that every freeze holds, exclusively and before it asks anything: what it finds then stays true
 * until the commit. And the deletion is a change of the log like a redaction, at a position of its own: a plan that
 * was read before it may not be frozen, and is made anew. So no unanswered transaction ever loses a text to retention
 * (contract 5.2).
 */
import { inTransactionOn, type Db } from './db.ts'
import { lockContent, lockStream, moveHead } from './stream.ts'
import { sql } from './statement.ts'

// `erase` is known to every release as something that takes content, and followers that don't know more of it look again.
const NOTE = sql('note that texts went', `insert into changes (pos, kind) values ($1, 'erase')`)

/** Runs `work`, which says whether it took anything, while no delivery can freeze. */
export async function takeAway<T>(
  db: Db,
  work: (db: Db) => Promise<{ took: boolean; result: T }>,
): Promise<T> {
  return inTransactionOn(db, async (db) => {
    // Both locks in the order in which a redaction takes them.
    const { head } = await lockStream(db)
    await lockContent(db)
    const { took, result } = await work(db)
    if (took) {
      await db.query(NOTE, [head + 1])
      await moveHead(db, head + 1)
    }
    return result
  })
}

/** SQL: the positions that unanswered transactions are made of. A void one is made of nothing. */
export const OPEN_POSITIONS = 'select unnest(o.positions) from open_transactions o where not o.void'
