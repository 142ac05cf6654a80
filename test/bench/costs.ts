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

/** Of the time: in how much of it the main thread had a processor, and in how much it had one or waited for one that others had. 1 is all of it. */
export interface Thread {
  had: number
  wanted: number
}

export interface Costs {
  ms: number
  cpuMs: Record<string, number | null>
  thread: Thread | null
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
    const had = less(after.thread?.ranMs ?? null, before.thread?.ranMs ?? null)
    const waited = less(after.thread?.waitedMs ?? null, before.thread?.waitedMs ?? null)
    const { database } = after
    return {
      ms,
      cpuMs: Object.fromEntries(
        names.map((name) => [name, less(after.cpu[name] ?? null, before.cpu[name] ?? null)]),
      ),
      thread: had === null || waited === null ? null : { had: had / ms, wanted: (had + waited) / ms },
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

interface Ran {
  ranMs: number
  /** For a processor. */
  waitedMs: number
}

/** So far: the main thread, and the processor time of all threads together, ms. */
function threadsOf(pid: number): { main: Ran | undefined; all: number } | null {
  try {
    const each = readdirSync(`/proc/${pid}/task`).map((tid) => {
      const [ran = NaN, waited = NaN] = readFileSync(`/proc/${pid}/task/${tid}/schedstat`, 'utf8')
        .split(' ')
        .map(Number)
      return { tid, ranMs: ran / 1e6, waitedMs: waited / 1e6 }
    })
    const all = each.reduce((sum, { ranMs }) => sum + ranMs, 0)
    return { main: each.find(({ tid }) => tid === String(pid)), all }
  } catch {
    return null
  }
}
