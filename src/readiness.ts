/**
 * Whether database and queue answer, for `/health/ready`: soon, and in words that name which of the two does not.
 *
 * A monitor waits some seconds. A peer that is gone without a word would be noticed by the pool a minute later.
 */
import { PATIENCE_MS, withDeadline } from '../queues/deadline.ts'
import type { Queues } from '../queues/queues.ts'
import type { Readiness } from './http/server.ts'
import type { Pool } from './store/db.ts'

export function makeReadiness({ pool, queues }: { pool: Pool; queues: Pick<Queues, 'ping'> }): Readiness {
  return async () => {
    const [database, queue] = await Promise.all([
      faultOf('the database', pool.query('select 1')),
      faultOf('the queue', queues.ping()),
    ])
    // Where both are in PostgreSQL the database is the one to look at.
    const why = database ?? queue
    return why === null ? { ready: true } : { ready: false, why }
  }
}

async function faultOf(what: string, asked: Promise<unknown>): Promise<string | null> {
  try {
    await withDeadline(PATIENCE_MS, what, asked)
    return null
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException
    const why = message === '' ? (code ?? 'unknown') : message
    return why.startsWith(what) ? why : `${what} can't be reached: ${why}`
  }
}
