/**
 * One run of one checkout: its raw loop, then its daemon in steady traffic, each against the receivers' processor time of
 * the same window. Receivers, events, requests and windows are ours, whatever checkout is measured; its own are `limpet run`
 * and the raw loop, which is nothing but its client.
 */
import type { Pool } from '../../src/store/db.ts'
import type { Figures } from './compare-verdict.ts'
import type { Fleet } from './fleet.ts'
import { measureRaw } from './raw.ts'
import type { Setting } from './setting.ts'
import { countStatements, resetStatements } from './statements.ts'
import { WARM_UP_MS, withWarm } from './steady.ts'
import { saturate } from './traffic.ts'
import { flowing, inCountedWindow, type Window } from './window.ts'

export interface RunOptions {
  /** Of the checkout. */
  built: (source: string) => string
  /** A new one's name. */
  database: string
  windowMs: number
}

export async function measureCheckout(ours: Setting, fleet: Fleet, options: RunOptions): Promise<Figures> {
  const setting: Setting = { ...ours, built: options.built }
  const raw = await measureRaw(setting, fleet, options.windowMs)
  await ours.emptyQueue()
  const warm = { queue: ours.redisUrl ?? 'postgres', database: options.database, counting: true }
  const steady = await withWarm(setting, fleet, warm, async ({ scene, pids }) => {
    const traffic = await flowing(fleet, WARM_UP_MS, () => saturate(scene))
    await resetStatements(scene.pool)
    const window = await inCountedWindow(fleet, options.windowMs, pids, () => counters(scene.pool))
    await traffic.stop()
    return window
  })
  await ours.dropDatabase(options.database)
  return figuresOf(raw, steady)
}

function figuresOf(raw: Window, steady: Window & { counted: Counters }): Figures {
  const figures = {
    raw: raw.transactionsPerSecond,
    rawCpu: overReceivers(raw, 'sender'),
    steady: steady.transactionsPerSecond,
    limpetCpu: overReceivers(steady, 'limpet'),
    postgresCpu: overReceivers(steady, 'postgres'),
    pdus: steady.pdusPerTransaction,
    ...steady.counted,
  }
  // Nothing arrived, or the processes ended: that is no figure to compare.
  const bad = (figure: number | null) => figure !== null && !Number.isFinite(figure)
  if (Object.values(figures).some(bad) || figures.steady === 0 || figures.raw === 0)
    throw new Error(`there is no comparing with this run: ${JSON.stringify(figures)}`)
  return figures
}

function overReceivers({ cpuUs }: Window, name: string): number | null {
  const [own, receivers] = [cpuUs[name] ?? null, cpuUs['receivers'] ?? null]
  return own === null || receivers === null ? null : own / receivers
}

type Counters = Record<'statements' | 'walBytes', number>

async function counters(pool: Pool): Promise<Counters> {
  const { rows } = await pool.query<{ wal: number }>(
    `select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 as wal`,
  )
  return { statements: await countStatements(pool), walBytes: rows[0]?.wal ?? NaN }
}
