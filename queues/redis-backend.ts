/**
 * The queues in Redis or in a Redis Cluster.
 *
 * There are two connections for commands, and one for each worker that waits. The connection that adds jobs fails at
 * once while Redis is away, because an HTTP request waits for it. The workers' connection waits until Redis is back,
 * as BullMQ expects. All keys share the hash tag `{limpet}`, so that a Cluster keeps them in one slot.
 *
 * Both command connections are asked now and then whether their server accepts writes. Otherwise a process without
 * jobs would not notice that its server has become a replica. A waiting worker notices by itself, because waiting for
 * a job is a write.
 */
import { Queue, Worker } from 'bullmq'
import { Cluster } from 'ioredis'
import type { Redis } from 'ioredis'
import type { Log } from '../src/observe/log.ts'
import { maskUrls } from '../src/observe/secrets.ts'
import type { Backend, JobQueue } from './backend.ts'
import { QUEUE_PATIENCE_MS, settledWithin, withDeadline } from './deadline.ts'
import { QueueError, firstReason } from './queue-error.ts'
import { chooseClient, FOR_ADDING, FOR_WORKERS, OPEN_MS, whenReady } from './redis-client.ts'
import {
  infoField,
  proveRedisWrite,
  refusesWrites,
  refuseReplica,
  ReplicaError,
  type RedisClient,
} from './redis-role.ts'
import { WORKER_TIMING } from './worker-timing.ts'

const PREFIX = '{limpet}'
/** How often the connections are asked whether their server takes writes, ms. */
const ASK_EVERY_MS = 5_000

export async function openRedisBackend(urls: string[], log: Log): Promise<Backend> {
  const where = maskUrls(urls.join(','))
  const onError = (error: Error) => log.debug({ err: error }, 'a connection of the queue broke')
  // Why the connection that adds is not there, if it was left because of that.
  let readOnly: Error | null = null
  const onReadOnly = (error: Error) => {
    if (readOnly === null) log.warn({ err: error }, 'the queue accepts no writes; reconnecting')
    readOnly = error
  }
  const makeClient = await chooseClient(urls, onReadOnly).catch((error: unknown) => {
    throw unreachable(where, error)
  })
  const adding = makeClient(FOR_ADDING)
  const working = makeClient(FOR_WORKERS)
  // Without a listener ioredis prints every attempt to reconnect. BullMQ's own 'error' events say the same once more.
  for (const client of [adding, working]) client.on('error', onError)

  const waiting = rememberCopies(working)
  const queues = new Map<string, JobQueue>()
  const workers: { disconnect(): Promise<void> }[] = []

  async function prove(client: RedisClient): Promise<void> {
    try {
      await withDeadline(QUEUE_PATIENCE_MS, 'the queue (Redis)', proveRedisWrite(client, PREFIX))
      if (client !== adding || readOnly === null) return
      readOnly = null
      log.info('the queue accepts writes again')
    } catch (error) {
      // What it says itself is seen to where it is heard (`redis-client.ts`).
      if (error instanceof ReplicaError) {
        onReadOnly(error)
        client.disconnect(true)
        // Where a replica takes writes they would wait on it for good.
        if (client === working) for (const one of waiting) if (one.status === 'ready') one.disconnect(true)
      }
      throw error
    }
  }

  const ask = async () => {
    for (const client of [adding, working])
      if (client.status === 'ready') await prove(client).catch(() => undefined)
  }
  const asking = setInterval(() => void ask(), ASK_EVERY_MS)

  const backend: Backend = {
    kind: 'redis',
    openQueue(name) {
      const known = queues.get(name)
      if (known) return known
      const queue = new Queue(name, { connection: adding, prefix: PREFIX })
      // An 'error' without any listener would be printed; the code that logs it adds another.
      queue.on('error', () => undefined)
      queues.set(name, queue)
      return queue
    },
    openWorker(name, processor, { concurrency }) {
      const work = (job: { data: unknown }) => processor(job.data)
      const worker = new Worker(name, work, {
        connection: working,
        prefix: PREFIX,
        concurrency,
        ...WORKER_TIMING,
      })
      workers.push(worker)
      return worker
    },
    async ping() {
      if (adding.status !== 'ready') throw new Error('not connected')
      await withDeadline(QUEUE_PATIENCE_MS, 'the queue (Redis)', adding.ping())
    },
    async takesWrites() {
      // What ioredis says of this is about one of its own options.
      const asked =
        adding.status === 'ready' ? prove(adding) : Promise.reject(readOnly ?? new Error('not connected'))
      await asked.catch((error: unknown) => {
        if (!refusesWrites(error)) throw error
        throw new Error(`the queue accepts no writes: ${error.message}`, { cause: error })
      })
    },
    migrate: () => Promise.resolve(),
    async checkSettings() {
      await refuseOtherDatabase(adding, urls, where)
      for (const node of adding instanceof Cluster ? adding.nodes('master') : [adding]) {
        const policy = infoField(await node.info('memory'), 'maxmemory_policy')
        if (policy !== undefined && policy !== 'noeviction') {
          throw new QueueError(
            'settings',
            `the Redis at ${where} has maxmemory-policy ${policy} and may evict jobs: set it to noeviction`,
          )
        }
      }
    },
    async close() {
      clearInterval(asking)
      const clients = [adding, working]
      const ended = Promise.all(clients.map((client) => client.quit().catch(() => undefined)))
      await settledWithin(QUEUE_PATIENCE_MS, ended)
      // Workers that could not be closed still hold a connection of their own.
      for (const worker of workers) void worker.disconnect().catch(() => undefined)
      for (const client of clients) client.disconnect()
    },
  }

  try {
    await withDeadline(OPEN_MS, 'the queue (Redis)', Promise.all([whenReady(adding), whenReady(working)]))
    await backend.ping()
    await withDeadline(QUEUE_PATIENCE_MS, 'the queue (Redis)', refuseReplica(adding))
  } catch (error) {
    clearInterval(asking)
    for (const client of [adding, working]) client.disconnect()
    throw unreachable(where, error)
  }
  return backend
}

/** Where a database number (`redis://host/3`) is not to be had, ioredis goes on in number 0, among another application's keys. */
async function refuseOtherDatabase(client: Redis | Cluster, urls: string[], where: string): Promise<void> {
  if (client instanceof Cluster) {
    const numbered = urls
      .map((url) => Number(new URL(url).pathname.slice(1)) || 0)
      .find((number) => number !== 0)
    if (numbered === undefined) return
    throw new QueueError(
      'settings',
      `the Redis Cluster at ${where} has only database 0: remove /${numbered} from the URL`,
    )
  }
  // From a query string it is text.
  const wanted = Number(String(client.options.db ?? 0))
  const said = await client.call('CLIENT', 'INFO').catch(() => null)
  const used = typeof said === 'string' ? /(?:^| )db=(\d+)/.exec(said)?.[1] : undefined
  if (used === undefined || Number(used) === wanted) return
  throw new QueueError(
    'settings',
    `the Redis at ${where} has no database ${wanted} (see its setting "databases"): use one that exists`,
  )
}

/** BullMQ makes the connections on which its workers wait as copies of `client`: all that it made, ended ones aside. */
function rememberCopies(client: RedisClient): ReadonlySet<RedisClient> {
  const copies = new Set<RedisClient>()
  const duplicate = client.duplicate.bind(client) as (...given: unknown[]) => RedisClient
  client.duplicate = ((...given: unknown[]) => {
    const copy = duplicate(...given)
    copies.add(copy)
    copy.once('end', () => copies.delete(copy))
    return copy
  }) as typeof client.duplicate
  return copies
}

function unreachable(where: string, error: unknown): QueueError {
  return new QueueError('unreachable', `the queue at ${where} can't be reached: ${firstReason(error)}`, {
    cause: error,
  })
}
