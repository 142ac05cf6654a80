/**
 * One connection for a question about the database, apart from any pool. It is given up after a moment, and never ends
 * the process.
 */
import type pg from 'pg'
import { clientFor } from './scram-client.ts'
import { sql } from './statement.ts'

/** Asked of a server of which nothing else is wanted. */
export const ANSWERS = sql('does it answer', 'select 1')

const ANSWER_MS = 5_000

export function openCheckClient(url: string): pg.Client {
  const client = new (clientFor(url))({
    connectionString: url,
    application_name: 'limpet-check',
    connectionTimeoutMillis: ANSWER_MS,
    query_timeout: ANSWER_MS,
  })
  // One that breaks also rejects what waits on it; this keeps it from ending the process.
  client.on('error', () => undefined)
  return client
}

/** Whether it was kept waiting for too long, by our own measure or by a pooler's. */
export const isLate = (error: unknown): boolean =>
  error instanceof Error && /Query read timeout|timeout expired|query_wait_timeout/i.test(error.message)
