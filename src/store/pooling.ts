/**
 * Is the database behind a pooler that gives a session's server connection to others between its transactions
 * (PgBouncer's `pool_mode` transaction or statement)? Prepared statements, settings, advisory locks and LISTEN belong
 * to the session, and with such a pooler they end up with another client.
 *
 * Promise: the answer is certain, not likely. There is pooling if a server connection is shared with a session that is
 * still open. There is none if a session that asks nothing receives a notification.
 */
import type pg from 'pg'
import type { Clock } from '../pace/clock.ts'
import { placeOf } from '../config/url.ts'
import { isLate, openCheckClient } from './check-client.ts'
import { UnfitDatabaseError } from './fitness.ts'
import { drop } from './takes-writes.ts'
import { BEGIN, COMMIT } from './db.ts'
import { command, sql } from './statement.ts'

/** A notification takes milliseconds; a connection that waits for it in vain does not have a session of its own. */
const HEARD_MS = 10_000

export interface PoolingNeeds {
  url: string
  clock: Clock
  /** Unlike any other process's at this moment. Null: no notification is tried, where the database may be a standby. */
  nonce: string | null
}

// The number alone may come again, from another server behind the same address.
const WHO = sql(
  'who serves the session',
  `select concat_ws(' ', a.pid, a.backend_start, inet_server_addr()) as who
               from pg_stat_activity a where a.pid = pg_backend_pid()`,
)
const CHANNEL = 'limpet_pooling'
const LISTEN = command(`listen ${CHANNEL}`)

const NOTIFY = sql('is a notification heard', 'select pg_notify($1, $2)')

/** @throws UnfitDatabaseError where limpet can't run through what stands before the database. */
export async function refusePooling({ url, clock, nonce }: PoolingNeeds): Promise<void> {
  const where = `the database at ${placeOf(url)}`
  const pooled = (mode: string) =>
    new UnfitDatabaseError(
      `${where} is behind a pooler in ${mode} mode, which limpet can't use: give limpet the database's own address, or set pool_mode = session for it in PgBouncer`,
    )
  const [first, second] = [openCheckClient(url), openCheckClient(url)]
  try {
    await first.connect()
    const own = await whoServes(first)
    const heard = nonce === null ? null : hears(first, nonce)
    try {
      await second.connect()
      await second.query(BEGIN)
      // The second one keeps what serves it until its commit.
      if ((await whoServes(second)) === own || (await whoServes(first)) !== own) throw pooled('transaction')
      if (heard !== null) await first.query(LISTEN)
      if (heard !== null) await second.query(NOTIFY, [CHANNEL, nonce])
      await second.query(COMMIT)
    } catch (error) {
      if (isOfStatementMode(error)) throw pooled('statement')
      if (!isLate(error)) throw error
      throw new UnfitDatabaseError(
        `${where} gives no second connection while the first one is open: if it is behind a pooler, the pool_size must be at least 30 for each limpet process`,
        { cause: error, passing: true },
      )
    }
    // From here on the first one asks nothing: a pooler has no reason to give it a server.
    if (heard !== null && !(await within(clock, HEARD_MS, heard))) throw pooled('transaction')
  } finally {
    // No goodbye: a server that has gone silent would not answer it, and the caller would never get on.
    for (const client of [first, second]) drop(client)
  }
}

async function whoServes(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ who: string }>(WHO)
  return rows[0]?.who ?? ''
}

function hears(client: pg.Client, nonce: string): Promise<void> {
  return new Promise((resolve) => {
    client.on('notification', ({ payload }) => {
      if (payload === nonce) resolve()
    })
  })
}

async function within(clock: Clock, ms: number, event: Promise<void>): Promise<boolean> {
  const over = new AbortController()
  try {
    return await Promise.race([event.then(() => true), clock.sleep(ms, over.signal).then(() => false)])
  } finally {
    over.abort()
  }
}

// PgBouncer's own words, with the code of a broken protocol.
const isOfStatementMode = (error: unknown): boolean =>
  error instanceof Error && /statement pooling mode/i.test(error.message)
