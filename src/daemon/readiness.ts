/**
 * Do the database and the queue accept a write? For `/health/ready`: a quick answer that names the one that does not.
 *
 * That a server answers proves little: a standby does, and so do one whose disk is full and one that waits for a
 * replica that is gone. So something is written. A monitor waits for seconds, but the pool would notice a peer that is
 * gone without a word only after a minute. Until then one question is under way, and callers that ask meanwhile wait
 * for the next.
 */
import { QUEUE_PATIENCE_MS, withDeadline } from '../../queues/deadline.ts'
import { makeOnceMore } from '../../queues/once-more.ts'
import type { Queues } from '../../queues/queues.ts'
import type { Readiness } from '../http/server.ts'
import type { Pool } from '../store/db.ts'
import { isReadOnly, proveWrite } from '../store/takes-writes.ts'

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
    await withDeadline(QUEUE_PATIENCE_MS, what, asked)
    return null
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException
    const why = message === '' ? (code ?? 'unknown') : message
    if (why.startsWith(what)) return why
    return refusesWrites(error) ? `${what} accepts no writes: ${why}` : `${what} can't be reached: ${why}`
  }
}
