/**
 * The model test at length: 100,000 random schedules on the database in memory and 2,000 on PostgreSQL, spread over the
 * machine's cores. Ends with the line `N passed, N failed, N skipped`: one for each of the two.
 *
 * LIMPET_MODEL_RUNS, LIMPET_MODEL_PG_RUNS: how many; LIMPET_SEED: where to begin; LIMPET_MODEL_WORKERS: processes.
 */
import { fork } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { SEED } from './check.ts'
import { neverRun } from './never-run.ts'
import type { Chunk, Done } from './worker.ts'

const numberOf = (name: string, otherwise: number) => Number(process.env[name] ?? otherwise)
const RUNS = {
  memory: numberOf('LIMPET_MODEL_RUNS', 100_000),
  postgres: numberOf('LIMPET_MODEL_PG_RUNS', 2_000),
}
const WORKERS = numberOf('LIMPET_MODEL_WORKERS', availableParallelism())
/** Schedules of one seed: each chunk has its own, so that what it does depends on nothing else. */
const CHUNK = { memory: 250, postgres: 25 }
/** A chunk takes seconds; one that never ends must be seen, and with its seed. */
const CHUNK_MS = 15 * 60_000

type Kind = Chunk['kind']

function chunksOf(kind: Kind): Chunk[] {
  const size = CHUNK[kind]
  return Array.from({ length: Math.ceil(RUNS[kind] / size) }, (_, index) => ({
    ...{ kind, seed: (SEED + index) % 2 ** 31, runs: Math.min(size, RUNS[kind] - index * size) },
  }))
}

const left = { memory: chunksOf('memory'), postgres: chunksOf('postgres') }
const count = { memory: 0, postgres: 0 }
const seconds = { memory: 0, postgres: 0 }
const ran = new Set<string>()
const failures: Record<Kind, string[]> = { memory: [], postgres: [] }
const began = performance.now()
let told = began
const sinceStart = () => Math.round((performance.now() - began) / 1_000)

/** A process that takes chunks of one kind until there are none, or one has failed. */
function work(kind: Kind): Promise<void> {
  return new Promise((resolve) => {
    const worker = fork(new URL('worker.ts', import.meta.url), { execArgv: ['--import', 'tsx'] })
    let waiting: NodeJS.Timeout | undefined
    const next = () => {
      const chunk = failures[kind].length > 0 ? undefined : left[kind].shift()
      const what = chunk === undefined ? 'letting go' : `the schedules of seed ${chunk.seed}`
      waiting = setTimeout(() => {
        failures[kind].push(`${what}: not done in ${CHUNK_MS / 60_000} minutes`)
        worker.kill('SIGTERM')
      }, CHUNK_MS)
      worker.send(chunk ?? 'end')
    }
    worker.on('message', (done: Done | 'ready') => {
      clearTimeout(waiting)
      if (done !== 'ready') {
        count[kind] += done.runs
        for (const name of done.ran) ran.add(name)
        seconds[kind] += done.ms / 1_000
        if (done.failure !== null) {
          failures[kind].push(done.failure)
          // At once: the others may go on for an hour.
          console.log(`\n${kind}:\n${done.failure}`)
        }
        if (done.failure !== null || performance.now() - told > 30_000) {
          told = performance.now()
          console.log(`${sinceStart()} s: ${count.memory} in memory, ${count.postgres} on PostgreSQL`)
        }
      }
      next()
    })
    worker.on('exit', (code) => {
      clearTimeout(waiting)
      if (code !== 0) failures[kind].push(`a process ended with ${String(code)}`)
      resolve()
    })
  })
}

console.log(`seed ${SEED}, ${WORKERS} processes and one for PostgreSQL`)
await Promise.all([
  ...Array.from({ length: Math.min(WORKERS, left.memory.length) }, () => work('memory')),
  ...(left.postgres.length > 0 ? [work('postgres')] : []),
])
for (const kind of ['memory', 'postgres'] as const) {
  for (const failure of failures[kind]) console.log(`\n${kind}:\n${failure.split('\n')[0] ?? ''}`)
  const each = (seconds[kind] * 1_000) / Math.max(1, count[kind])
  console.log(
    `${kind}: ${count[kind]} schedules, ${each.toFixed(1)} ms each, ${failures[kind].length} violations`,
  )
}
if (RUNS.memory > 0) console.log(neverRun(ran).lines)
console.log(`${sinceStart()} s`)
const kinds = (['memory', 'postgres'] as const).filter((kind) => RUNS[kind] > 0)
const failed = kinds.filter((kind) => failures[kind].length > 0).length
console.log(`${kinds.length - failed} passed, ${failed} failed, ${2 - kinds.length} skipped`)
process.exitCode = failed === 0 ? 0 : 1
