/**
 * What do destinations cost that are merely known? The same traffic to 100 of them while 0, 1,000, 10,000 others
 * are idle; what is spent when nobody gets anything; and traffic to 1,000 and to 10,000 at once.
 *
 * The sweep looks at all of them. Each window is as long as the time from one to the next, so it holds one.
 */
import { systemClock } from '../../src/pace/clock.ts'
import { cpuMs } from '../support/cpu.ts'
import { startDaemon } from './daemon.ts'
import type { Fleet } from './fleet.ts'
import { loadKnown } from './known.ts'
import { resident, type Resident } from './resident.ts'
import type { Setting } from './setting.ts'
import { dearestStatements, resetStatements } from './statements.ts'
import { meetAll, openRooms, quiet, saturate, type Scene } from './traffic.ts'
import { inWindow, PDUS_A_TRANSACTION, type Window } from './window.ts'

export interface Growth {
  /** Destinations with traffic, and others. */
  warm: number
  idle: number
  window: Window
  /** Processor time a second when nothing happens, sweep included, ms; null where it can't be told. */
  idleCpuMs: { limpet: number | null; postgres: number | null }
  resident: Resident | null
}

export interface GrowthOptions {
  queue: string
  database: string
  /** How many get traffic, and how many more are known: 0, or a power of ten. */
  warm: number
  idle: number
  profile?: string | undefined
  statements?: ((text: string) => void) | null
}

/** `sweep_interval_ms` as it ships. */
const SWEEP_MS = 30_000
const WARM_UP_MS = 5_000

export async function measureGrowth(setting: Setting, fleet: Fleet, options: GrowthOptions): Promise<Growth> {
  const { queue, profile, warm, idle } = options
  const { url, pool } = await setting.database(options.database)
  const names = fleet.names.slice(0, warm)
  if (idle > 0) {
    const known = Array.from({ length: idle }, (_, i) => `idle${i}.example`)
    // 30 rooms for each, with an event or two in each of them.
    await loadKnown(pool, setting.key, {
      names: known,
      rooms: (idle * 30) / 100,
      serversPerRoom: 100,
      events: idle,
    })
  }
  const daemon = await startDaemon(setting, {
    databaseUrl: url,
    queue,
    roles: 'ingest,deliver,housekeep',
    federation: { max_pdus: PDUS_A_TRANSACTION, max_idle_connections: Math.max(1_000, warm) },
    profile,
  })
  const scene: Scene = { key: setting.key, daemon, fleet, names, pool }
  try {
    await openRooms(scene)
    await meetAll(scene)
    const pids = { limpet: daemon.pid, postgres: setting.postgres.pid() }
    const idleCpuMs = await idleCpu(pids)
    const traffic = saturate(scene)
    await systemClock.sleep(WARM_UP_MS)
    if (options.statements) await resetStatements(pool)
    const window = await inWindow({ fleet, pids, pool }, SWEEP_MS)
    options.statements?.(await dearestStatements(pool))
    const memory = resident(daemon.pid)
    await traffic.stop()
    await quiet(pool)
    return { warm, idle, window, idleCpuMs, resident: memory }
  } finally {
    await daemon.stop()
    await pool.end()
  }
}

async function idleCpu(pids: { limpet: number; postgres: number }): Promise<Growth['idleCpuMs']> {
  const look = () => ({ limpet: cpuMs(pids.limpet), postgres: cpuMs(pids.postgres) })
  const before = look()
  await systemClock.sleep(SWEEP_MS)
  const after = look()
  const aSecond = (from: number | null, to: number | null) =>
    from === null || to === null ? null : ((to - from) * 1000) / SWEEP_MS
  return { limpet: aSecond(before.limpet, after.limpet), postgres: aSecond(before.postgres, after.postgres) }
}
