/**
 * What every connection is set to before its first use.
 *
 * Promise: whatever an operator has set for the role or the database, our sessions behave as our SQL expects, also
 * through a pooler in session mode. So the settings are statements after the connect, not start parameters, which
 * PgBouncer refuses. What an operator may want to decide is left alone: `search_path`, `synchronous_commit`,
 * `default_transaction_read_only`, `TimeZone`.
 */
import type pg from 'pg'
import { command, variants } from './statement.ts'

/** As the names stand in `pg_settings`. */
export type SessionSettings = Readonly<Record<string, string | number>>

const SETTINGS: SessionSettings = {
  // What pg sends and reads.
  client_encoding: 'UTF8',
  standard_conforming_strings: 'on',
  array_nulls: 'on',
  // Each statement outside a transaction sees what is committed, and none fails because another process was at work.
  default_transaction_isolation: 'read committed',
  // How long a statement may take is said at our end (`query_timeout`); a migration or a look of retention may take longer
  // than what suits web requests. Idle connections are ours to end.
  statement_timeout: 0,
  lock_timeout: 0,
  idle_session_timeout: 0,
}

const DISCARD = command('discard all')

/** Only from PostgreSQL 17 on. */
const NO_TRANSACTION_TIMEOUT = `case when current_setting('transaction_timeout', true) is not null
  then set_config('transaction_timeout', '0', false) end`

/** A server that says nothing is given up after this, ms. */
const PATIENCE_MS = 5_000

const setUp = variants('set up the session')

/** Tells `client` our settings and `more`. */
export async function beginSession(
  client: Pick<pg.ClientBase, 'query'>,
  more: SessionSettings = {},
): Promise<void> {
  // A pooler may have lent the same session before, to limpet or to another application, and cleared nothing up after it.
  await client.query({ text: DISCARD, query_timeout: PATIENCE_MS } as pg.QueryConfig)
  const settings = Object.entries({ ...SETTINGS, ...more }).map(
    ([name, value]) => `set_config('${name}', '${value}', false)`,
  )
  const text = setUp(`select ${[...settings, NO_TRANSACTION_TIMEOUT].join(', ')}`)
  const patient = { text, query_timeout: PATIENCE_MS }
  await client.query(patient)
}
