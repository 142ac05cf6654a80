/** Where the queues can live, each with the means to hurt it. */
import { Redis } from 'ioredis'
import { pino } from 'pino'
import { openBackend, type QueueConfig } from '../../queues/backend.ts'
import { openPool } from '../../src/store/db.ts'
import { freshDatabase, ownServer } from '../support/postgres.ts'
import { redisServer } from './redis-server.ts'

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
  fragile: (context: Mocha.Context) => Promise<FragilePlace>
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
    await pool.query(sql)
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
    const { url, drop } = await freshDatabase({ migrated: false, prepared })
    return onPostgres(url, drop)
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

async function tell(url: string, ...command: [string, ...string[]]): Promise<void> {
  const client = new Redis(url)
  try {
    await client.call(...command)
  } finally {
    client.disconnect()
  }
}

async function onRedis(context: Mocha.Context): Promise<FragilePlace> {
  const server = await redisServer(context)
  const { url } = server
  return {
    config: { kind: 'redis', urls: [url] },
    empty: () => tell(url, 'FLUSHALL'),
    loseWaiting: () => tell(url, 'DEL', '{limpet}:delivery:wait', '{limpet}:recovery:wait'),
    remove: () => server.remove(),
    crash: () => server.kill(),
    start: () => server.start(),
  }
}

const redis: BackendUnderTest = { name: 'Redis', shared: onRedis, fragile: onRedis }

export const BACKENDS: readonly BackendUnderTest[] = [postgres, redis]
