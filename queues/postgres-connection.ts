/**
 * The one connection that all queues and workers of a process share, with two things put right that BullMQ does well
 * enough for a connection each.
 */
import { assertSchemaCompatibility, PostgresConnection } from 'bullmq'
import type { PostgresPoolConfig } from 'bullmq'
import { PATIENCE_MS } from './deadline.ts'

export const SCHEMA = 'limpet_queue'
const POOL_SIZE = 5

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
  rememberOnlySuccess(connection)
  listenInTurn(connection)
  return { connection, config }
}

/** BullMQ remembers that its first look at the schema failed, and would fail for ever after one unlucky moment. */
function rememberOnlySuccess(connection: PostgresConnection): void {
  let ready: Promise<void> | null = null
  const look = async () => {
    const client = await connection.pool.connect()
    try {
      await assertSchemaCompatibility(client, SCHEMA)
    } finally {
      client.release()
    }
  }
  connection.waitUntilReady = () => {
    ready ??= look().catch((error: unknown) => {
      ready = null
      throw error
    })
    return ready
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
