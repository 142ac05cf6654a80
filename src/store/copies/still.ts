/**
 * Does limpet use a database, or has anything been written there since? A database that is copied to be used in the
 * place of this one must be left alone meanwhile: what came after the copy would be in neither.
 */
import type { Db } from '../db.ts'
import { sql } from '../statement.ts'
import { DumpError } from './dump-error.ts'

// Names of connections are shown to every role. Leases: where an operator has named the connections otherwise.
const USERS = sql(
  'who uses the database',
  `select count(*)::int as connections,
          (select count(*)::int from workers where lease_until > now_ms()) as workers
     from pg_stat_activity
    where datname = current_database() and application_name in ('limpet', 'limpet-queue', 'limpet-watch')`,
)

/** @throws DumpError while a limpet runs on it */
export async function refuseUsed(db: Db): Promise<void> {
  const { rows } = await db.query<{ connections: number; workers: number }>(USERS)
  const { connections = 0, workers = 0 } = rows[0] ?? {}
  if (connections === 0 && workers === 0) return
  throw new DumpError(
    `limpet runs on the database that would be copied (${connections} connections, ${workers} leases): stop all its processes first, or make a backup with \`limpet db dump\``,
  )
}

// Not the head alone: a turn that ends writes elsewhere. The counters of PostgreSQL are not exact enough.
const WRITTEN = sql(
  'what was written last',
  `select (select head from stream) as head, (select coalesce(sum(fence + attempt_seq + wake_seq + position), 0)::text from destinations) as turns`,
)

/** Tells two states of the database apart, if limpet wrote anything between them. */
export async function readMark(db: Db): Promise<string> {
  const { rows } = await db.query<{ head: number; turns: string }>(WRITTEN)
  return `${rows[0]?.head} ${rows[0]?.turns}`
}
