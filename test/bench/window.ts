/** What happens at the receivers within a stretch of time, and what one transaction of it costs. */
import { systemClock } from '../../src/pace/clock.ts'
import type { Pool } from '../../src/store/db.ts'
import { until } from '../support/poll.ts'
import { beginCosts, type Costs, type Pids, type Thread } from './costs.ts'
import type { Fleet } from './fleet.ts'
import type { DatabaseCounts } from './statements.ts'

/** About 5 KB a body. */
export const PDUS_A_TRANSACTION = 4

export interface Window {
  transactionsPerSecond: number
  pdusPerTransaction: number
  edusPerTransaction: number
  /** Parts of EDUs (`edus-received.ts`), by one transaction in 64; NaN where none of those came. */
  partsPerTransaction: number
  /** Processor time of each process for one transaction, µs; null where it can't be told. The first is who sends. */
  cpuUs: Record<string, number | null>
  /** How busy the main thread of the one who sends was. */
  thread: Thread | null
  /** What PostgreSQL did for one transaction. */
  database: DatabaseCounts | null
}

/** What a window looks at. */
export interface Watched {
  fleet: Fleet
  /** The first is who sends. */
  pids: Record<string, number>
  /** Of the database whose statements count. */
  pool: Pool | null
}

/**
 * Begins traffic, and resolves when it flows: as many transactions have come as there are receivers, whose handshakes may take long
 * on a busy machine, and `warmUpMs` have gone by after that.
 */
export async function flowing<T>(
  fleet: Fleet,
  warmUpMs: number,
  beginTraffic: () => T | Promise<T>,
): Promise<T> {
  const { transactions: before } = await fleet.counts()
  const begun = await beginTraffic()
  await until(async () => (await fleet.counts()).transactions - before >= fleet.names.length, {
    what: 'traffic to reach the receivers',
    withinMs: 120_000,
    everyMs: 100,
  })
  await systemClock.sleep(warmUpMs)
  return begun
}

export async function inWindow(watched: Watched, ms: number): Promise<Window> {
  const end = await beginWindow(watched)
  await systemClock.sleep(ms)
  return end()
}

/** @returns what ends the window, once or more often */
export async function beginWindow({ fleet, pids, pool }: Watched): Promise<() => Promise<Window>> {
  const everybody: Pids = { ...pids, receivers: fleet.pids }
  const before = await fleet.counts()
  const end = await beginCosts(everybody, pool)
  return async () => {
    const costs = await end()
    const after = await fleet.counts()
    const transactions = after.transactions - before.transactions
    return {
      transactionsPerSecond: (transactions * 1000) / costs.ms,
      pdusPerTransaction: (after.pdus - before.pdus) / transactions,
      edusPerTransaction: (after.edus - before.edus) / transactions,
      partsPerTransaction:
        (after.sampled.parts - before.sampled.parts) /
        (after.sampled.transactions - before.sampled.transactions),
      ...each(costs, transactions),
    }
  }
}

/** For one of `count`. */
export function each(
  { cpuMs, thread, database }: Costs,
  count: number,
): Pick<Window, 'cpuUs' | 'thread' | 'database'> {
  return {
    cpuUs: Object.fromEntries(
      Object.entries(cpuMs).map(([name, ms]) => [name, ms === null ? null : (ms * 1000) / count]),
    ),
    thread,
    database: database && {
      statements: database.statements / count,
      blocks: database.blocks / count,
      walBytes: database.walBytes / count,
    },
  }
}

/** Processor time of one process over that of the receivers; of the one who sends, unless another is named. */
export function overReceivers({ cpuUs }: Pick<Window, 'cpuUs'>, name = Object.keys(cpuUs)[0]): number | null {
  const [own, receivers] = [cpuUs[name ?? ''] ?? null, cpuUs['receivers'] ?? null]
  return own === null || receivers === null ? null : own / receivers
}
