/**
 * The one way to the database: a pool whose int8 columns are numbers, and transactions on it.
 *
 * Everything in `store/` takes a `Db` as its first argument, which is a pool or the client of a transaction. Reads of
 * several tables that must fit together are one statement, or one `inSnapshot`.
 */
import pg from 'pg'
import { makePrepare, makeReplan } from './prepare.ts'
import { clientFor } from './scram-client.ts'
import { beginSession } from './session.ts'
import { demandWrites, isReadOnly } from './takes-writes.ts'
import { command, sql, type Sql } from './statement.ts'

/** A pool, or a connection of one. */
export interface Db {
  query<Row extends pg.QueryResultRow>(
    statement: Sql,
    values?: readonly unknown[],
  ): Promise<pg.QueryResult<Row>>
}
export type Pool = pg.Pool

// Positions and times stay far below 2^53. The parser is the pool's own: the global one would change BullMQ's rows too.
const INT8: number = pg.types.builtins.INT8
const INT8_ARRAY = 1016
const numbersOf = (text: string) => (text === '{}' ? [] : text.slice(1, -1).split(',').map(Number))
const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: Parameters<typeof pg.types.getTypeParser>[0], format?: 'text'): unknown => {
    const type: number = oid
    if (type === INT8) return Number
    if (type === INT8_ARRAY) return numbersOf
    return pg.types.getTypeParser(oid, format)
  }) as pg.CustomTypesConfig['getTypeParser'],
}

export interface PoolOptions {
  url: string
  /** Most connections at once. */
  max?: number
  /** What the connections are called in `pg_stat_activity`. */
  name?: string
  /** Told of errors of idle connections (the pool replaces them by itself). */
  onError?: (error: Error) => void
  /** Somebody else's database, which is only read: a standby will do. */
  onlyReads?: boolean
  /** PostgreSQL itself ends a statement that takes longer, ms. Default: never. Below the client's own time-out, else it goes on there unheard. */
  statementMs?: number
  /** The longest that any statement may take before it is given up here, ms; 0: for ever. */
  queryMs?: number
  /** For how long a connection keeps its plans, ms. */
  replanMs?: number
}

/**
 * A process that is stopped, or whose machine is gone, in the middle of a transaction holds its locks. After this
 * PostgreSQL ends that session, ms: else one stopped process holds up the destinations, and the ingest, of all others.
 */
const IDLE_IN_TRANSACTION_MS = 5_000

/** A quiet connection asks its peer's machine after this whether it is still there. */
const KEEP_ALIVE_MS = 10_000

/** A server that does not answer at all is noticed sooner (`silence.ts`). */
const QUERY_MS = 60_000

/** Plans for some thirty statements are made anew so often: a few milliseconds a connection. */
const REPLAN_MS = 20_000

/**
 * A connection that is not used for this long is closed, ms. Connections to a server that was taken out of use without closing them are
 * found out when they are used, or are gone by then.
 */
const IDLE_MS = 20_000

/** The types of `pg` don't know it yet: runs before a new connection is given out, which is ended where it throws. */
interface PoolConfig extends pg.PoolConfig {
  onConnect: (client: pg.PoolClient) => Promise<void>
}

export function openPool({
  url,
  max = 10,
  name = 'limpet',
  onError,
  onlyReads = false,
  statementMs = 0,
  queryMs = QUERY_MS,
  replanMs = REPLAN_MS,
}: PoolOptions): Pool {
  const config: PoolConfig = {
    connectionString: url,
    Client: clientFor(url),
    max,
    application_name: name,
    types,
    connectionTimeoutMillis: 5_000,
    idleTimeoutMillis: IDLE_MS,
    query_timeout: queryMs,
    keepAlive: true,
    // The system's own default is two hours.
    keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
    onConnect: async (client) => {
      await beginSession(client, {
        idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
        statement_timeout: statementMs,
      })
      if (!onlyReads) await demandWrites(client)
    },
  }
  const pool = new pg.Pool(config)
  pool.on('connect', makePrepare())
  pool.on(
    'acquire',
    makeReplan(replanMs, () => performance.now()),
  )
  // Without a listener an idle connection that breaks would end the process.
  pool.on('error', (error) => onError?.(error))
  return pool
}

/** Named, since an operator may have set another default: a statement must see what was committed before it. */
export const BEGIN = command('begin isolation level read committed')
const BEGIN_SNAPSHOT = command('begin isolation level repeatable read read only')
export const COMMIT = command('commit')
const ROLLBACK = command('rollback')

/** Runs `work` in one READ COMMITTED transaction; rolls back and rethrows when it throws. */
export function inTransaction<T>(pool: Pool, work: (db: pg.PoolClient) => Promise<T>): Promise<T> {
  return within(pool, BEGIN, work)
}

/** Runs `work` on one snapshot: all its reads see the same moment of the stream. */
export function inSnapshot<T>(pool: Pool, work: (db: pg.PoolClient) => Promise<T>): Promise<T> {
  return within(pool, BEGIN_SNAPSHOT, work)
}

/** As `inTransaction`, on a connection that the caller has (it keeps it, and sees to it when it breaks), or one of its pool. */
export async function inTransactionOn<T>(db: Db, work: (db: Db) => Promise<T>): Promise<T> {
  if (db instanceof pg.Pool) return inTransaction(db, work)
  await db.query(BEGIN)
  try {
    const result = await work(db)
    await db.query(COMMIT)
    return result
  } catch (error) {
    await db.query(ROLLBACK).catch(() => undefined)
    throw error
  }
}

async function within<T>(pool: Pool, begin: Sql, work: (db: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect()
  let broken: Error | undefined
  // A connection that breaks between two statements emits 'error', which would end the process unheard.
  const onError = (error: Error) => {
    broken = error
  }
  client.on('error', onError)
  try {
    await client.query(begin)
    const result = await work(client)
    await client.query(COMMIT)
    return result
  } catch (error) {
    // Behind a statement that was not answered the rollback would wait as long again.
    if (isUnanswered(error)) broken ??= error
    else {
      try {
        await client.query(ROLLBACK)
      } catch (rollbackError) {
        broken ??= rollbackError as Error
      }
    }
    // Its connection is dropped just now (`takes-writes.ts`): the pool must not give it out meanwhile.
    if (isReadOnly(error)) broken ??= error
    throw error
  } finally {
    client.off('error', onError)
    client.release(broken)
  }
}

function isUnanswered(error: unknown): error is Error {
  return error instanceof Error && error.message === 'Query read timeout'
}

const NOW = sql('read the time', 'select now_ms() as now')

/** The database's time in milliseconds since the epoch (with the offset that tests set). */
export async function nowMs(db: Db): Promise<number> {
  const { rows } = await db.query<{ now: number }>(NOW)
  return rows[0]?.now ?? 0
}

/** What the system says where nothing answers at an address. */
const AWAY = new Set([
  ...['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOENT'],
  ...['ENOTFOUND', 'EAI_AGAIN'],
])

/** Whether an error means that the database is away or going down (and not that a statement is wrong). */
export function isUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const code = (error as { code?: unknown }).code
  if (typeof code === 'string') {
    // Class 08: connection; 57P01–57P05: shutting down, crashed, starting; 53: out of resources; 25006: read only;
    // 25P03: we were stopped for so long that our transaction was ended.
    if (/^(08|57P|53)/.test(code) || code === '25006' || code === '25P03') return true
    if (AWAY.has(code)) {
      return true
    }
  }
  return /Connection terminated|timeout expired|timeout exceeded when trying to connect|Query read timeout|Client has encountered a connection error|not queryable|Cannot use a pool after calling end/.test(
    error.message,
  )
}

/**
 * Whether PostgreSQL refused what it was given, and would refuse it again: a value that no column takes (class 22), a
 * constraint (23), a statement that is wrong (42), something too large (54). Or it was never asked: what is ours threw.
 */
export function isRefusedForGood(error: unknown): boolean {
  if (isUnavailable(error)) return false
  const code = error instanceof Error ? (error as { code?: unknown }).code : undefined
  if (typeof code === 'string') return /^(22|23|42|54)...$/.test(code)
  return error instanceof TypeError || error instanceof RangeError || error instanceof SyntaxError
}
