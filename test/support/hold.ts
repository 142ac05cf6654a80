/**
 * A transaction that a test holds open while it looks at what waits for it.
 *
 * `openPool` has PostgreSQL end a session that idles in a transaction for some seconds. That is for processes that
 * were stopped; a test on a busy machine may take longer, and is not what is to be ended.
 */
import type { PoolClient } from 'pg'
import type { Pool } from '../../src/store/db.ts'

/** Begins it; the caller ends it and releases the client. */
export async function holdTransaction(pool: Pool): Promise<PoolClient> {
  const client = await pool.connect()
  await client.query('begin')
  await client.query('set local idle_in_transaction_session_timeout = 0')
  return client
}
