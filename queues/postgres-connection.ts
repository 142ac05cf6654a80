/**
 * The one connection that all queues and workers of a process share, with three things put right that BullMQ does well
 * enough for a connection each.
 */
import { assertSchemaCompatibility, PostgresConnection } from 'bullmq'
import type { PostgresPoolConfig } from 'bullmq'
import type pg from 'pg'
import { beginSession } from '../src/store/session.ts'
import { PATIENCE_MS } from './deadline.ts'

export const SCHEMA = 'limpet_queue'
const POOL_SIZE = 5
/** Only BullMQ's migrations send a transaction in several statements, ms. */
const IDLE_IN_TRANSACTION_MS = 60_000

type PoolClient = Awaited<ReturnType<PostgresConnection['pool']['connect']>>
type ListenClient = Awaited<ReturnType<PostgresConnection['getListenClient']>>

/** At most `POOL_SIZE` connections for queries, and one that listens once a worker waits. */
export function shareConnection(url: string): { connection: PostgresConnection; config: PostgresPoolConfig } {
  const config = {
    connectionString: url,
    schema: SCHEMA,
    max: POOL_SIZE,
    application_name: 'limpet-queue',
    connectionTimeoutMillis: PATIENCE_MS,
    // A server that accepted the query and went silent must not hold a connection for ever. All of them are quick.
    query_timeout: 10_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
  }
  const connection = new PostgresConnection(config)
  setAfterConnect(connection)
  rememberOnlySuccess(connection)
  listenInTurn(connection)
  return { connection, config }
}

/**
 * BullMQ names its schema in a parameter of the start, which PgBouncer refuses, and which an `options=` in the URL would
 * replace. It is set after each connect instead, with the rest of our session.
 */
function setAfterConnect(connection: PostgresConnection): void {
  const { pool, listenClientConfig } = connection as unknown as Inside
  const settings = { search_path: SCHEMA, idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS }
  const begin = (client: pg.ClientBase) => beginSession(client, settings)
  delete pool.options.options
  pool.options.onConnect = begin
  delete listenClientConfig.options
  const get = connection.getListenClient.bind(connection)
  const begun = new WeakMap<ListenClient, Promise<void>>()
  connection.getListenClient = async () => {
    const client = await get()
    const ready = begun.get(client) ?? begin(client as unknown as pg.ClientBase)
    begun.set(client, ready)
    // Whoever asks next tries again.
    ready.catch(() => begun.delete(client))
    await ready
    return client
  }
}

/** What BullMQ and `pg` keep, and their types leave out. */
interface Inside {
  pool: { options: { options?: string; onConnect?: (client: pg.ClientBase) => Promise<void> } }
  listenClientConfig: { options?: string }
}

/** BullMQ remembers that its first look at the schema failed, and would fail for ever after one unlucky moment. */
function rememberOnlySuccess(connection: PostgresConnection): void {
  let ready: Promise<void> | null = null
  const look = async () => {
    await withClient(connection, (client) => assertSchemaCompatibility(client, SCHEMA))
  }
  connection.waitUntilReady = () => {
    ready ??= look().catch((error: unknown) => {
      ready = null
      throw error
    })
    return ready
  }
}

/** Lends a client of the pool; one that breaks meanwhile fails what waits on it, and does not end the process. */
export async function withClient<T>(
  connection: PostgresConnection,
  work: (client: PoolClient) => Promise<T>,
): Promise<T> {
  const client = await connection.pool.connect()
  let broken: Error | undefined
  const onError = (error: Error) => {
    broken = error
  }
  const events = client as unknown as NodeJS.EventEmitter
  events.on('error', onError)
  try {
    return await work(client)
  } finally {
    events.off('error', onError)
    client.release(broken !== undefined)
  }
}

/** Several workers subscribe on the one connection at the same time; pg wants one query after the other. */
function listenInTurn(connection: PostgresConnection): void {
  const get = connection.getListenClient.bind(connection)
  const known = new WeakSet<ListenClient>()
  connection.getListenClient = async () => {
    const client = await get()
    if (!known.has(client)) {
      known.add(client)
      const query = client.query.bind(client)
      let last: Promise<unknown> = Promise.resolve()
      client.query = <R>(text: string, params?: readonly unknown[]) => {
        const result = last.then(() => query<R>(text, params))
        last = result.catch(() => undefined)
        return result
      }
    }
    return client
  }
}
