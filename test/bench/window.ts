/** What happens at the receivers within a stretch of time, and which process spends how much on it. */
import { systemClock } from '../../src/pace/clock.ts'
import { cpuMs } from '../support/cpu.ts'
import { until } from '../support/poll.ts'
import type { Fleet } from './fleet.ts'

/** About 5 KB a body. */
export const PDUS_A_TRANSACTION = 4

export interface Window {
  transactionsPerSecond: number
  pdusPerTransaction: number
  /** Processor time of each process for one transaction, µs; null where it can't be told. */
  cpuUs: Record<string, number | null>
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

export async function inWindow(fleet: Fleet, ms: number, pids: Record<string, number>): Promise<Window> {
  return inCountedWindow(fleet, ms, pids, () => Promise.resolve({}))
}

/** Beside it, by how much each of `counters` rose for one transaction. */
export async function inCountedWindow<Name extends string>(
  fleet: Fleet,
  ms: number,
  pids: Record<string, number>,
  counters: () => Promise<Record<Name, number>>,
): Promise<Window & { counted: Record<Name, number> }> {
  const look = async () => ({
    at: performance.now(),
    counts: await fleet.counts(),
    cpu: cpuOf(fleet, pids),
    counters: await counters(),
  })
  const before = await look()
  await systemClock.sleep(ms)
  const after = await look()
  const transactions = after.counts.transactions - before.counts.transactions
  const cpuUs = Object.keys(after.cpu).map((name) => {
    const [from, to] = [before.cpu[name] ?? null, after.cpu[name] ?? null]
    return [name, from === null || to === null ? null : ((to - from) * 1000) / transactions] as const
  })
  const names = Object.keys(after.counters) as Name[]
  const counted = names.map(
    (name) => [name, (after.counters[name] - before.counters[name]) / transactions] as const,
  )
  return {
    transactionsPerSecond: (transactions * 1000) / (after.at - before.at),
    pdusPerTransaction: (after.counts.pdus - before.counts.pdus) / transactions,
    cpuUs: Object.fromEntries(cpuUs),
    counted: Object.fromEntries(counted) as Record<Name, number>,
  }
}

function cpuOf(fleet: Fleet, pids: Record<string, number>): Record<string, number | null> {
  const processes: [string, number[]][] = Object.entries(pids).map(([name, pid]) => [name, [pid]])
  const sum = (all: number[]) => {
    const each = all.map(cpuMs)
    return each.includes(null) ? null : each.reduce((a: number, b) => a + (b ?? 0), 0)
  }
  return Object.fromEntries(
    [...processes, ['receivers', fleet.pids] as const].map(([name, all]) => [name, sum(all)]),
  )
}
