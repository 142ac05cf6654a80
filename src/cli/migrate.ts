/**
 * `limpet migrate`: migrates the database, limpet's tables and the queue's, to this version. Running it again is
 * harmless.
 */
import type { Config } from '../config/config.ts'
import type { Log } from '../observe/log.ts'
import { refuseUnfit } from '../store/fitness.ts'
import { migrate } from '../store/migrate.ts'
import { openBackend } from '../../queues/open-backend.ts'
import { SCHEMA } from '../../queues/postgres-connection.ts'
import type { Io } from './io.ts'
import { withProgress } from './progress.ts'
import { withDatabase } from './with-database.ts'

export async function runMigrate({ config, log, io }: { config: Config; log: Log; io: Io }): Promise<void> {
  const applied = await withProgress(io.stderr, 'migrating the database', migrateAll(config, log))
  for (const name of applied) io.stdout.write(`applied ${name}\n`)
  io.stdout.write('the database is up to date\n')
}

async function migrateAll(config: Config, log: Log): Promise<string[]> {
  return withDatabase(config, log, async ({ pool, url }) => {
    const queueSchema = config.queue.kind === 'postgres' ? SCHEMA : null
    await refuseUnfit(pool, { queueSchema, migrating: true })
    const applied = await migrate(pool)
    // Redis has no schema.
    if (config.queue.kind !== 'postgres') return applied
    const backend = await openBackend({ kind: 'postgres', url }, { log })
    try {
      await backend.migrate()
    } finally {
      await backend.close()
    }
    return applied
  })
}
