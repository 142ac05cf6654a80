/**
 * What did a stretch of time cost? Processor time of each process, how busy the main thread of the first of them was, and what PostgreSQL
 * did for it. From /proc, so on Linux only; elsewhere null.
 */
import { readdirSync, readFileSync } from 'node:fs'
import type { Pool } from '../../src/store/db.ts'
import { cpuMs } from '../support/cpu.ts'
import { countDatabase, type DatabaseCounts } from './statements.ts'

/** Whose processor time counts; the first is the one whose main thread is watched. */
export type Pids = Readonly<Record<string, number | readonly number[]>>

export interface Costs {
  ms: number
  cpuMs: Record<string, number | null>
  /** The share of the time in which the main thread had a processor: 1 is a thread that never waits. */
  thread: number | null
  database: DatabaseCounts | null
}

/**
 * @param pool null: what the database does is not counted
 * @returns what ends the stretch, once or more often
 */
export async function beginCosts(pids: Pids, pool: Pool | null): Promise<() => Promise<Costs>> {
  const [watched] = Object.values(pids).flat()
  const look = async () => ({
    database: pool && (await countDatabase(pool)),
    at: performance.now(),
    cpu: Object.fromEntries(Object.entries(pids).map(([name, all]) => [name, sumOf([all].flat())])),
    thread: (watched === undefined ? null : threadsOf(watched))?.main ?? null,
  })
  const before = await look()
  return async () => {
    const after = await look()
    const ms = after.at - before.at
    const names = Object.keys(pids)
    const thread = less(after.thread, before.thread)
    const { database } = after
    return {
      ms,
      cpuMs: Object.fromEntries(
        names.map((name) => [name, less(after.cpu[name] ?? null, before.cpu[name] ?? null)]),
      ),
      thread: thread === null ? null : thread / ms,
      database: before.database && database && lessAll(database, before.database),
    }
  }
}

const less = (after: number | null, before: number | null) =>
  after === null || before === null ? null : after - before

const lessAll = (after: DatabaseCounts, before: DatabaseCounts): DatabaseCounts => ({
  statements: after.statements - before.statements,
  blocks: after.blocks - before.blocks,
  walBytes: after.walBytes - before.walBytes,
})

function sumOf(pids: readonly number[]): number | null {
  const each = pids.map((pid) => finely(pid) ?? cpuMs(pid))
  return each.includes(null) ? null : each.reduce((sum: number, one) => sum + (one ?? 0), 0)
}

/** In nanoseconds where the kernel tells them: hundredths of a second are much in a short stretch. Not of a process with children, as PostgreSQL is. */
function finely(pid: number): number | null {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    return children.trim() === '' ? (threadsOf(pid)?.all ?? null) : null
  } catch {
    return null
  }
}

/** Processor time so far of the main thread, and of all threads together, ms. */
function threadsOf(pid: number): { main: number; all: number } | null {
  try {
    const each = readdirSync(`/proc/${pid}/task`).map((tid) => {
      const [nanoseconds = ''] = readFileSync(`/proc/${pid}/task/${tid}/schedstat`, 'utf8').split(' ')
      return { main: tid === String(pid), ms: Number(nanoseconds) / 1e6 }
    })
    const all = each.reduce((sum, { ms }) => sum + ms, 0)
    return { main: each.find(({ main }) => main)?.ms ?? NaN, all }
  } catch {
    return null
  }
}
