/**
 * The one connection that all queues and workers of a process share, with three things put right that BullMQ does well
 * enough for a connection each, and one that it does not look at: a server that answers and takes no writes (a standby) is
 * left again. Nothing is ever written to the connection that listens, so it is asked now and then.
 */
import { assertSchemaCompatibility, PostgresConnection } from 'bullmq'
import type { PostgresPoolConfig } from 'bullmq'
import type pg from 'pg'
import { beginSession } from '../src/store/session.ts'
import { clientFor } from '../src/store/scram-client.ts'
import { askWhetherWritable, demandWrites, drop } from '../src/store/takes-writes.ts'
import { QUEUE_PATIENCE_MS } from './deadline.ts'

export const SCHEMA = 'limpet_queue'
export const POOL_SIZE = 5
/** With the one that listens. */
export const QUEUE_CONNECTIONS = POOL_SIZE + 1
/** Only BullMQ's migrations send a transaction in several statements, ms. */
const IDLE_IN_TRANSACTION_MS = 60_000
/** How often the connection that listens is asked whether its server still takes writes, ms. */
const ASK_EVERY_MS = 5_000

type PoolClient = Awaited<ReturnType<PostgresConnection['pool']['connect']>>
/** BullMQ names of it what it uses; it is one of `pg`. */
type ListenClient = Awaited<ReturnType<PostgresConnection['getListenClient']>>

export interface SharedConnection {
  connection: PostgresConnection
  config: PostgresPoolConfig
  /** Ends every connection. */
  close(): Promise<void>
}

/** At most `POOL_SIZE` connections for queries, and one that listens once a worker waits. */
export function shareConnection(url: string): SharedConnection {
  const config = {
    connectionString: url,
    schema: SCHEMA,
    max: POOL_SIZE,
    application_name: 'limpet-queue',
    connectionTimeoutMillis: QUEUE_PATIENCE_MS,
    // A server that accepted the query and went silent must not hold a connection for ever. All of them are quick.
    query_timeout: 10_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
  }
  const connection = new PostgresConnection(config)
  connectOnlyWith(clientFor(url), connection)
  setAfterConnect(connection)
  rememberOnlySuccess(connection)
  const listener = listenInTurn(connection)
  const asking = setInterval(() => void listener.ask(), ASK_EVERY_MS)
  const close = () => {
    clearInterval(asking)
    return connection.close()
  }
  return { connection, config, close }
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
  pool.options.onConnect = async (client) => {
    await begin(client)
    await demandWrites(client)
  }
  delete listenClientConfig.options
  const get = connection.getListenClient.bind(connection)
  const begun = new WeakMap<ListenClient, Promise<void>>()
  connection.getListenClient = async () => {
    const client = await get()
    const ready = begun.get(client) ?? begin(client as unknown as pg.ClientBase)
    begun.set(client, ready)
    // The next caller tries again.
    ready.catch(() => begun.delete(client))
    await ready
    return client
  }
}

/** Where the URL demands that the server proves itself, BullMQ's connections demand it too. */
function connectOnlyWith(Client: typeof pg.Client, connection: PostgresConnection): void {
  const inside = connection as unknown as Inside
  inside.pool.Client = Client
  inside.pgModule = { ...inside.pgModule, Client }
}

/** What BullMQ and `pg` keep, and their types leave out. */
interface Inside {
  pool: {
    Client: typeof pg.Client
    options: { options?: string; onConnect?: (client: pg.ClientBase) => Promise<void> }
  }
  listenClientConfig: { options?: string }
  pgModule: object
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

/**
 * Several workers subscribe on the one connection at the same time; pg wants one query after the other. One whose server takes
 * no writes is not given out: no NOTIFY comes from there.
 */
function listenInTurn(connection: PostgresConnection): { ask(): Promise<void> } {
  const get = connection.getListenClient.bind(connection)
  const admitted = new WeakMap<ListenClient, Promise<void>>()
  let current: ListenClient | null = null

  async function admit(client: ListenClient): Promise<void> {
    queryInTurn(client)
    await leaveUnless(client, demandWrites)
    current = client
  }

  connection.getListenClient = async () => {
    const client = await get()
    const known = admitted.get(client) ?? admit(client)
    admitted.set(client, known)
    await known
    return client
  }

  return {
    ask: async () => {
      const client = current
      if (client === null) return
      await leaveUnless(client, askWhetherWritable).catch(() => {
        if (current === client) current = null
      })
    },
  }
}

function queryInTurn(client: ListenClient): void {
  const query = client.query.bind(client)
  let last: Promise<unknown> = Promise.resolve()
  client.query = <R>(text: string, params?: readonly unknown[]) => {
    const result = last.then(() => query<R>(text, params))
    last = result.catch(() => undefined)
    return result
  }
}

/** Drops the connection where `ask` rejects, silence included: BullMQ makes another one then. */
async function leaveUnless(
  client: ListenClient,
  ask: (client: pg.ClientBase) => Promise<void>,
): Promise<void> {
  const ours = client as unknown as pg.ClientBase
  try {
    await ask(ours)
  } catch (error) {
    drop(ours)
    throw error
  }
}
