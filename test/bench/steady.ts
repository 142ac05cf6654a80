/**
 * Steady traffic to warm destinations, by a daemon with all roles: how many transactions at most, and how
 * soon one event is there when little happens.
 */
import type { Pool } from '../../src/store/db.ts'
import { startDaemon } from './daemon.ts'
import type { Fleet } from './fleet.ts'
import { measureLatency, type Latency } from './latency.ts'
import type { Setting } from './setting.ts'
import { ASIDE, dearestStatements, resetStatements } from './statements.ts'
import { meetAll, openRooms, quiet, saturate, type Scene } from './traffic.ts'
import { flowing, inWindow, PDUS_A_TRANSACTION, type Watched, type Window } from './window.ts'

export interface Steady {
  window: Window
  /** How many of the transactions one turn (one job) sends. */
  transactionsPerTurn: number
  latency: Latency
}

export interface WarmOptions {
  queue: string
  database: string
  profile?: string | undefined
}

export interface SteadyOptions extends WarmOptions {
  windowMs: number
  /** Told which statements cost what: under saturation, then at the modest rate. */
  statements?: ((text: string) => void) | null
}

export interface Warm {
  scene: Scene
  watched: Watched
}

/** From the beginning of traffic to that of the window. */
export const WARM_UP_MS = 5_000

/** Does `work` with a daemon on a new database, to which every destination is known and connected. */
export async function withWarm<T>(
  setting: Setting,
  fleet: Fleet,
  options: WarmOptions,
  work: (warm: Warm) => Promise<T>,
): Promise<T> {
  const { url, pool } = await setting.database(options.database)
  try {
    const daemon = await startDaemon(setting, {
      databaseUrl: url,
      queue: options.queue,
      roles: 'ingest,deliver,housekeep',
      federation: { max_pdus: PDUS_A_TRANSACTION },
      profile: options.profile,
    })
    try {
      const scene: Scene = { key: setting.key, daemon, fleet, names: fleet.names, pool }
      await openRooms(scene)
      await meetAll(scene)
      const pids = { limpet: daemon.pid, postgres: setting.postgres.pid() }
      return await work({ scene, watched: { fleet, pids, pool } })
    } finally {
      await daemon.stop()
    }
  } finally {
    await pool.end()
  }
}

export function measureSteady(setting: Setting, fleet: Fleet, options: SteadyOptions): Promise<Steady> {
  return withWarm(setting, fleet, options, async ({ scene, watched }) => {
    const { pool } = scene
    const traffic = await flowing(fleet, WARM_UP_MS, () => saturate(scene))
    if (options.statements) await resetStatements(pool)
    const before = await turnsAndAttempts(pool)
    const window = await inWindow(watched, options.windowMs)
    const after = await turnsAndAttempts(pool)
    options.statements?.(await dearestStatements(pool))
    await traffic.stop()
    await quiet(pool)
    if (options.statements) await resetStatements(pool)
    const latency = await measureLatency(scene)
    options.statements?.(await dearestStatements(pool))
    const transactionsPerTurn = (after.attempts - before.attempts) / (after.turns - before.turns)
    return { window, transactionsPerTurn, latency }
  })
}

async function turnsAndAttempts(pool: Pool): Promise<{ turns: number; attempts: number }> {
  const { rows } = await pool.query<{ turns: number; attempts: number }>(
    `select ${ASIDE} sum(fence)::bigint as turns, sum(attempt_seq)::bigint as attempts from destinations`,
  )
  return rows[0] ?? { turns: 0, attempts: 0 }
}
