/** Where the queues can live, each with the means to hurt it. */
import { pino } from 'pino'
import type { QueueConfig } from '../../queues/backend.ts'
import { openBackend } from '../../queues/open-backend.ts'
import { openPool } from '../../src/store/db.ts'
import { freshDatabase, ownServer } from '../support/postgres.ts'
import { ownRedis, type Redis, redisCluster, sharedRedis } from '../support/redis.ts'

export interface Place {
  config: QueueConfig
  /** Takes all of BullMQ's data away, under running workers. */
  empty(): Promise<void>
  /** Loses the waiting jobs but not what points to them, as a crash that saved half. */
  loseWaiting(): Promise<void>
  remove(): Promise<void>
}

/** A server of one's own, that may be killed. */
export interface FragilePlace extends Place {
  /** Without a word to its clients; resolves when it is gone. */
  crash(): Promise<void>
  start(): Promise<void>
}

export interface BackendUnderTest {
  name: string
  shared: (context: Mocha.Context) => Promise<Place>
  /** Not for a Cluster: one of a single node does not come back as it was. */
  fragile?: (context: Mocha.Context) => Promise<FragilePlace>
}

const TABLES = ['job', 'dedup', 'dedup_next', 'event', 'meta', 'metrics', 'rate_limit', 'scheduler']
const TRUNCATE = `truncate ${TABLES.map((table) => `limpet_queue.${table}`).join(', ')} cascade`
const LOSE_WAITING = `delete from limpet_queue.job where state = 'waiting'`

async function migrateQueue(url: string): Promise<void> {
  const backend = await openBackend({ kind: 'postgres', url }, { log: pino({ level: 'silent' }) })
  await backend.migrate()
  await backend.close()
}

async function run(url: string, sql: string): Promise<void> {
  const pool = openPool({ url, max: 1 })
  try {
    // Under traffic PostgreSQL may choose the TRUNCATE as the victim of a deadlock.
    const tryOnce = () =>
      pool.query(sql).then(
        () => true,
        (error: unknown) => {
          if ((error as { code?: string }).code !== '40P01') throw error
          return false
        },
      )
    while (!(await tryOnce()));
  } finally {
    await pool.end()
  }
}

function onPostgres(url: string, remove: () => Promise<void>): Place {
  return {
    config: { kind: 'postgres', url },
    empty: () => run(url, TRUNCATE),
    loseWaiting: () => run(url, LOSE_WAITING),
    remove,
  }
}

const postgres: BackendUnderTest = {
  name: 'PostgreSQL',
  shared: async () => {
    const prepared = { name: 'queue', prepare: migrateQueue }
    const database = await freshDatabase({ migrated: false, prepared })
    return onPostgres(database.url, () => database.drop())
  },
  fragile: async () => {
    const server = await ownServer({ migrated: false })
    return {
      ...onPostgres(server.url, () => server.remove()),
      crash: () => server.stop('immediate'),
      start: () => server.start(),
    }
  },
}

function onRedis(server: Redis, remove: () => Promise<void>): Place {
  return {
    config: { kind: 'redis', urls: [server.url] },
    empty: () => server.flush(),
    loseWaiting: async () => {
      await server.command('DEL', '{limpet}:delivery:wait', '{limpet}:recovery:wait')
    },
    remove,
  }
}

const redis: BackendUnderTest = {
  name: 'Redis',
  shared: async (context) => {
    const server = await sharedRedis(context)
    await server.flush()
    return onRedis(server, () => Promise.resolve())
  },
  fragile: async (context) => {
    const server = await ownRedis(context)
    return {
      ...onRedis(server, () => server.remove()),
      crash: () => server.kill(),
      start: () => server.start(),
    }
  },
}

const cluster: BackendUnderTest = {
  name: 'a Redis Cluster',
  shared: async (context) => {
    const server = await redisCluster(context)
    return onRedis(server, () => server.remove())
  },
}

export const BACKENDS: readonly BackendUnderTest[] = [postgres, redis, cluster]
