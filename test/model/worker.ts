/** One process of `main.ts`: runs the chunks that it is given. */
import type { Pool } from '../../src/store/db.ts'
import { clearLeftovers } from '../support/leftovers.ts'
import { freshDatabase } from '../support/postgres.ts'
import { explain, findFailure, type Fresh } from './check.ts'
import { memoryDatabase } from './database.ts'
import { openModelDatabase, twinDatabase } from './postgres-database.ts'

export interface Chunk {
  kind: 'memory' | 'postgres'
  seed: number
  runs: number
}

export interface Done {
  runs: number
  ms: number
  failure: string | null
}

let pool: Promise<Pool> | null = null

const fresh: Record<Chunk['kind'], Fresh> = {
  memory: () => Promise.resolve(memoryDatabase()),
  postgres: async () => {
    pool ??= freshDatabase().then(({ url }) => openModelDatabase(url))
    return twinDatabase(await pool)
  },
}

async function run({ kind, seed, runs }: Chunk): Promise<Done> {
  const began = performance.now()
  const failed = await findFailure(fresh[kind], { runs, seed })
  const failure = failed === null ? null : await explain(fresh[kind], failed, seed)
  return { runs: failed?.runs ?? runs, ms: performance.now() - began, failure }
}

async function end(): Promise<void> {
  await (await pool)?.end()
  await clearLeftovers()
  process.disconnect()
}

process.on('message', (chunk: Chunk | 'end') => {
  if (chunk === 'end') void end()
  else void run(chunk).then((done) => process.send?.(done))
})
process.send?.('ready')
