/**
 * The queues in PostgreSQL: the daemon's own database, in the schema `limpet_queue`.
 *
 * One pool and one LISTEN connection serve all queues and workers of a process: at most six connections.
 * (BullMQ's own way is a pool for each queue and worker. More connections don't make it faster: every commit that
 * notifies takes one lock of the whole database, about a thousand jobs a second whatever the concurrency.)
 */
import { PostgresQueueBackend, Queue, runMigrations, Worker } from 'bullmq'
import type { BackendFactory, PostgresConnectionOptions } from 'bullmq'
import type pg from 'pg'
import { setTimeout as sleep } from 'node:timers/promises'
import { ANSWERS } from '../src/store/check-client.ts'
import { askWhetherWritable } from '../src/store/takes-writes.ts'
import type { Log } from '../src/observe/log.ts'
import { maskUrls } from '../src/observe/secrets.ts'
import type { Backend, JobQueue } from './backend.ts'
import { QUEUE_PATIENCE_MS, settledWithin, withDeadline } from './deadline.ts'
import { makeFaultLog } from './fault-log.ts'
import { POOL_SIZE, SCHEMA, shareConnection, withClient } from './postgres-connection.ts'
import { makeStatementTurns, rankOf, type StatementTurns } from './postgres-turns.ts'
import { QueueError, firstReason } from './queue-error.ts'
import { WORKER_TIMING } from './worker-timing.ts'

// Two workers that mark and renew the same rows in another order can deadlock; PostgreSQL ends one of them, which then tries again.
const DEADLOCK_TRIES = 3
const DEADLOCK = '40P01'
/**
 * How long a job is its worker's, ms: as long as a destination is its process' (`internal.lease_ms`), for before that no other
 * can do anything. Nothing renews it while its end waits for a connection.
 */
const LOCK_MS = 15_000

type Factory = BackendFactory<PostgresQueueBackend, PostgresConnectionOptions>

export async function openPostgresBackend(url: string, log: Log): Promise<Backend> {
  const shared = shareConnection(url)
  const { connection, config } = shared
  let closing = false
  const onBroken = makeFaultLog({ log, what: 'a connection of the queue broke' })
  connection.on('error', (error: Error) => {
    // One that is being ended may still hear that its server stops.
    if (!closing) onBroken(error)
  })

  const queues = new Map<string, JobQueue>()
  const turns = makeStatementTurns(POOL_SIZE)
  const open = (name: string, opts: Parameters<Factory>[1], isWorker: boolean) =>
    retrying(inTurn(turns, new PostgresQueueBackend(connection, name, opts, isWorker)))
  const forQueue: Factory = (name, opts) => open(name, opts, false)
  const forWorker: Factory = (name, opts) => steady(open(name, opts, true))

  const backend: Backend = {
    kind: 'postgres',
    openQueue(name) {
      const known = queues.get(name)
      if (known) return known
      const queue = new Queue(name, { connection: config }, forQueue)
      // An 'error' without any listener would be printed; the code that logs it adds another.
      queue.on('error', () => undefined)
      queues.set(name, queue)
      return queue
    },
    openWorker(name, processor, { concurrency }) {
      return new Worker(
        name,
        (job: { data: unknown }) => processor(job.data),
        { connection: config, concurrency, ...WORKER_TIMING, lockDuration: LOCK_MS },
        forWorker,
      )
    },
    async ping() {
      await withDeadline(QUEUE_PATIENCE_MS, 'the queue (PostgreSQL)', connection.pool.query(ANSWERS))
    },
    async takesWrites() {
      await withDeadline(
        QUEUE_PATIENCE_MS,
        'the queue (PostgreSQL)',
        askWhetherWritable(connection.pool as unknown as pg.Pool),
      )
    },
    async migrate() {
      await withClient(connection, (client) => runMigrations(client, SCHEMA))
    },
    async checkSettings() {
      try {
        await connection.waitUntilReady()
      } catch (error) {
        if (!(error instanceof Error && error.name.startsWith('Schema'))) throw error
        throw new QueueError('schema', `the queue's schema ${SCHEMA}: ${error.message}`, { cause: error })
      }
    },
    async close() {
      closing = true
      if (!(await settledWithin(QUEUE_PATIENCE_MS, shared.close()))) {
        log.warn('the connections of the queue did not end in time')
      }
    },
  }

  try {
    await backend.ping()
  } catch (error) {
    await backend.close()
    const where = maskUrls(url)
    throw new QueueError('unreachable', `the queue at ${where} can't be reached: ${firstReason(error)}`, {
      cause: error,
    })
  }
  return backend
}

/** The victim of a deadlock tries again: the other one has gone on. */
function retrying(backend: PostgresQueueBackend): PostgresQueueBackend {
  const again =
    <A extends unknown[], R>(run: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      for (let left = DEADLOCK_TRIES - 1; ; left -= 1) {
        try {
          return await run(...args)
        } catch (error) {
          if (left === 0 || (error as { code?: unknown }).code !== DEADLOCK) throw error
        }
      }
    }
  backend.addJob = again(backend.addJob.bind(backend))
  backend.addJobs = again(backend.addJobs.bind(backend))
  backend.moveToActive = again(backend.moveToActive.bind(backend))
  backend.moveToCompleted = again(backend.moveToCompleted.bind(backend))
  backend.moveToFailed = again(backend.moveToFailed.bind(backend))
  // These two write to every active job, in no order: they meet each other, and those above.
  backend.extendLocks = again(backend.extendLocks.bind(backend))
  backend.moveStalledJobsToWait = again(backend.moveStalledJobsToWait.bind(backend))
  return backend
}

/** Each of its statements waits for its turn. */
function inTurn(turns: StatementTurns, backend: PostgresQueueBackend): PostgresQueueBackend {
  const inside = backend as unknown as { run(command: string, params: unknown[]): Promise<unknown> }
  const run = inside.run.bind(backend)
  inside.run = (command, params) => turns.within(rankOf(command), () => run(command, params))
  return backend
}

/** What a worker's end of the shared connection needs to live through a restart of the server. */
function steady(backend: PostgresQueueBackend): PostgresQueueBackend {
  // The connection is shared by all: it ends when all workers have, in `Backend.close`.
  backend.close = () => Promise.resolve()
  // After an error BullMQ waits up to an hour for a NOTIFY. A job added while no connection listened would wait as long.
  Object.defineProperty(backend, 'maximumBlockTimeout', { value: 10 })
  // While PostgreSQL starts up, every look for a job fails at once and BullMQ looks again at once.
  const take = backend.moveToActive.bind(backend)
  backend.moveToActive = async (...args): ReturnType<typeof take> => {
    try {
      return await take(...args)
    } catch (error) {
      await sleep(WORKER_TIMING.runRetryDelay)
      throw error
    }
  }
  return backend
}
