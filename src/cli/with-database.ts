/**
 * Lends the configured database to a command. The command can use it while it works, and leaves it in the state in
 * which it was found: an embedded database that a daemon runs is shared; one that does not run is started and stopped
 * again.
 */
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '../pace/clock.ts'
import type { Config } from '../config/config.ts'
import { LONG_STATEMENT_MS } from '../ingest/synapse/too-slow.ts'
import type { Log } from '../observe/log.ts'
import { DataDirInUseError, lockDataDir } from '../embedded/data-dir-lock.ts'
import { openPool } from '../store/db.ts'
import type { Pool } from '../store/db.ts'
import { startEmbedded } from '../embedded/server.ts'
import { urlOfRunning } from '../embedded/adopt.ts'
import { nameRoom } from '../embedded/cluster.ts'
import { refusePooling } from '../store/pooling.ts'
import { unusable } from '../store/unusable.ts'
import { CommandError } from './cli-error.ts'
import { ANSWERS } from '../store/check-client.ts'

export interface Lent {
  readonly pool: Pool
  /** With its password. */
  readonly url: string
}

/** Throws `UnusableDatabaseError` where the database can't be reached, `UnfitDatabaseError` where a pooler is in the way. */
export async function withDatabase<T>(
  config: Config,
  log: Log,
  work: (lent: Lent) => Promise<T>,
): Promise<T> {
  if (config.database.kind !== 'url') return withEmbedded(config.data_dir, log, work)
  return withDatabaseAt(config.database.url, { named: 'the database', mayBeStandby: false }, work)
}

/** The same for the database at `url`; `named`: for people. */
export async function withDatabaseAt<T>(
  url: string,
  { named, mayBeStandby }: { named: string; mayBeStandby: boolean },
  work: (lent: Lent) => Promise<T>,
): Promise<T> {
  try {
    await refusePooling({ url, clock: systemClock, nonce: mayBeStandby ? null : randomUUID() })
  } catch (error) {
    throw unusable(error, { url, named, connecting: true })
  }
  return withPool(url, work, { named, onlyReads: mayBeStandby })
}

async function withEmbedded<T>(dataDir: string, log: Log, work: (lent: Lent) => Promise<T>): Promise<T> {
  const unlock = lockUnlessUsed(dataDir)
  if (unlock === null) return withPool(urlOfDaemon(dataDir), work)
  // By default a signal ends a process without a word; an exit takes the server along.
  const exit = (_signal: NodeJS.Signals, number: number) => process.exit(128 + number)
  for (const signal of ENDING) process.once(signal, exit)
  try {
    const server = await startEmbedded({ dataDir, log })
    try {
      return await withPool(server.url, work)
    } finally {
      // One that was running was left by a limpet that was killed; the next start adopts it.
      if (!server.adopted) await server.stop()
    }
  } finally {
    for (const signal of ENDING) process.off(signal, exit)
    unlock()
  }
}

const ENDING = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Null: a daemon runs on it. */
function lockUnlessUsed(dataDir: string): (() => void) | null {
  try {
    return lockDataDir(dataDir)
  } catch (error) {
    if (error instanceof DataDirInUseError) return null
    throw error
  }
}

/** Whether a daemon runs on it. */
export function isUsed(dataDir: string): boolean {
  const unlock = lockUnlessUsed(dataDir)
  unlock?.()
  return unlock === null
}

function urlOfDaemon(dataDir: string): string {
  const url = existsSync(join(dataDir, 'postgres')) ? urlOfRunning(nameRoom(dataDir)) : null
  if (url === null)
    throw new CommandError(
      `the limpet that uses ${dataDir} has not started its database yet; try again in a moment`,
    )
  return url
}

async function withPool<T>(
  url: string,
  work: (lent: Lent) => Promise<T>,
  { named, onlyReads } = { named: 'the database', onlyReads: false },
): Promise<T> {
  // In a database that is not ours nothing of ours may go on for long.
  const statementMs = onlyReads ? LONG_STATEMENT_MS : 0
  const pool = openPool({ url, max: 2, name: 'limpet-cli', onlyReads, statementMs })
  try {
    await pool.query(ANSWERS)
    return await work({ pool, url })
  } catch (error) {
    throw unusable(error, { url, named })
  } finally {
    await pool.end()
  }
}
