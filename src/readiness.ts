/**
 * Whether database and queue take a write, for `/health/ready`: soon, and in words that name which of the two does not.
 *
 * That a server answers says little: a standby does, one whose disk is full, one that waits for a replica that is gone. So
 * something is written. A monitor waits some seconds. A peer that is gone without a word would be noticed by the pool a
 * minute later; until then one question is under way, and callers that ask meanwhile wait for the next.
 */
import { PATIENCE_MS, withDeadline } from '../queues/deadline.ts'
import { makeOnceMore } from '../queues/once-more.ts'
import type { Queues } from '../queues/queues.ts'
import type { Readiness } from './http/server.ts'
import type { Pool } from './store/db.ts'
import { isReadOnly, proveWrite } from './store/takes-writes.ts'

export function makeReadiness({
  pool,
  queues,
}: {
  pool: Pool
  queues: Pick<Queues, 'takesWrites'>
}): Readiness {
  const ask = {
    database: makeOnceMore(() => proveWrite(pool)),
    queue: makeOnceMore(() => queues.takesWrites()),
  }
  return async () => {
    const [database, queue] = await Promise.all([
      faultOf('the database', ask.database()),
      faultOf('the queue', ask.queue()),
    ])
    // Where both are in PostgreSQL the database is the one to look at.
    const why = database ?? queue
    return why === null ? { ready: true } : { ready: false, why }
  }
}

/** 53: no space, no memory, no connection left. */
const refusesWrites = (error: unknown) =>
  isReadOnly(error) || /^53/.test(String((error as { code?: unknown }).code))

async function faultOf(what: string, asked: Promise<unknown>): Promise<string | null> {
  try {
    await withDeadline(PATIENCE_MS, what, asked)
    return null
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException
    const why = message === '' ? (code ?? 'unknown') : message
    if (why.startsWith(what)) return why
    return refusesWrites(error) ? `${what} takes no writes: ${why}` : `${what} can't be reached: ${why}`
  }
}
