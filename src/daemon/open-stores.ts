/**
 * Opens the database (PostgreSQL) and the queue, or says in one line why it can't.
 *
 * Promise: when this returns, both answer, the schema is this version's and the database is bound to our
 * `server_name`. When it throws, nothing is left open.
 */
import { randomUUID } from 'node:crypto'
import type { Backend } from '../../queues/backend.ts'
import { openBackend } from '../../queues/open-backend.ts'
import { makeFaultLog } from '../../queues/fault-log.ts'
import { QUEUE_CONNECTIONS, SCHEMA as QUEUE_SCHEMA } from '../../queues/postgres-connection.ts'
import { systemClock } from '../pace/clock.ts'
import type { Config } from '../config/config.ts'
import { watchEmbedded } from '../embedded/watch.ts'
import type { Log } from '../observe/log.ts'
import { lockDataDir } from '../embedded/data-dir-lock.ts'
import { openPool, type Pool } from '../store/db.ts'
import { refuseUnfit, UnfitDatabaseError } from '../store/fitness.ts'
import { narrowRoom, type ConnectionCount } from '../store/pool-room.ts'
import { refusePooling } from '../store/pooling.ts'
import { watchForSilence } from '../store/silence.ts'
import { bindServerName, checkSchema, migrate, SchemaError } from '../store/migrate.ts'
import { unusable } from '../store/unusable.ts'

export interface Stores {
  pool: Pool
  backend: Backend
  databaseUrl: string
  close(): Promise<void>
}

/** Connections of one process to the database, the queue's own aside. */
const POOL_SIZE = 20
/** One more asks whether the database is still there (`silence.ts`). */
const WATCH_SIZE = 1

/** The sweep and retention each hold one while they ask on another. */
const FEWEST = 4

/** What one process opens to its own database. */
export function connectionsOf({ queue }: Config): ConnectionCount {
  const forQueue = queue.kind === 'postgres' ? QUEUE_CONNECTIONS : 0
  return { most: POOL_SIZE + WATCH_SIZE + forQueue, fewest: FEWEST + forQueue }
}

export interface OpenStoresNeeds {
  config: Config
  log: Log
  /** Bring the schema to this version (true), or only look whether it is (false). */
  migrating: boolean
}

export async function openStores({ config, log, migrating }: OpenStoresNeeds): Promise<Stores> {
  const closers: (() => Promise<void> | void)[] = []
  const close = async () => {
    let failure: unknown
    for (const closer of closers.splice(0).reverse()) {
      try {
        await closer()
      } catch (error) {
        failure ??= error
      }
    }
    if (failure !== undefined) throw failure as Error
  }
  try {
    const databaseUrl = await openDatabase(config, log, closers)
    // Before anything else is set or opened there: what a pooler shares would be left with others.
    if (config.database.kind === 'url') {
      const url = databaseUrl
      await reach(url, () => refusePooling({ url, clock: systemClock, nonce: randomUUID() }))
      await reach(url, () => refuseNarrow(url, config, log))
    }
    const onError = makeFaultLog({ log, what: 'a database connection was lost' })
    const pool = openPool({ url: databaseUrl, max: POOL_SIZE, onError })
    closers.push(() => pool.end())
    const silence = watchForSilence(pool, { url: databaseUrl, clock: systemClock, log })
    closers.push(() => silence.stop())
    await reach(databaseUrl, () => refuseUnfit(pool, { queueSchema: queueSchemaOf(config), migrating }))
    if (migrating) {
      const applied = await migrate(pool)
      if (applied.length > 0) log.info({ applied }, 'the database was migrated to this version')
    } else {
      const complaint = await checkSchema(pool)
      if (complaint !== null) throw new SchemaError(complaint)
    }
    await bindServerName(pool, config.server_name)
    const queue =
      config.queue.kind === 'postgres' ? { kind: 'postgres' as const, url: databaseUrl } : config.queue
    const backend = await openBackend(queue, { log })
    closers.push(() => backend.close())
    if (migrating) await backend.migrate()
    await backend.checkSettings()
    return { pool, backend, databaseUrl, close }
  } catch (error) {
    await close().catch(() => undefined)
    throw error
  }
}

/** @throws UnfitDatabaseError where a pooler gives so few connections that nothing would come of it */
async function refuseNarrow(url: string, config: Config, log: Log): Promise<void> {
  const narrow = await narrowRoom(url, connectionsOf(config))
  if (narrow?.tooFew === true) throw new UnfitDatabaseError(narrow.complaint, { passing: true })
  if (narrow !== null) log.warn({ given: narrow.given }, narrow.complaint)
}

/** The embedded server is ours to start and to stop; one that runs elsewhere is not. */
async function openDatabase(
  config: Config,
  log: Log,
  closers: (() => Promise<void> | void)[],
): Promise<string> {
  if (config.database.kind === 'url') return config.database.url
  closers.push(lockDataDir(config.data_dir))
  const server = await watchEmbedded({ dataDir: config.data_dir, clock: systemClock, log })
  closers.push(() => server.stop())
  return server.url
}

const queueSchemaOf = ({ queue }: Config): string | null => (queue.kind === 'postgres' ? QUEUE_SCHEMA : null)

/** What is asked first of a database: where it does not answer, the error says so in one line. */
async function reach(url: string, ask: () => Promise<void>): Promise<void> {
  try {
    await ask()
  } catch (error) {
    throw unusable(error, { url, connecting: true })
  }
}
