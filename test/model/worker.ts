/** One process of `main.ts`: runs the chunks that it is given. */
import { clearLeftovers } from '../support/leftovers.ts'
import { freshDatabase } from '../support/postgres.ts'
import { explain, findFailure, type Fresh } from './check.ts'
import { besideASearch } from './beside-a-search.ts'
import { memoryDatabase } from './database.ts'
import { makeTwins } from './postgres-database.ts'
import { edus } from './edus.ts'
import { edusBeside } from './edus-beside.ts'
import { erasing } from './erasing.ts'
import { isolating, quarantined } from './isolating.ts'
import { lapsing, schedulesOnPostgres } from './lapsing.ts'
import { locked } from './locked.ts'
import { odd } from './odd.ts'
import { refusingEdus } from './refusing-edus.ts'
import { schedules, schedulesWithBlocks } from './schedule.ts'
import { unlistedAndHeld } from './unlisted-and-held.ts'
import { uplinks } from './uplinks.ts'

export interface Chunk {
  kind: 'memory' | 'postgres'
  seed: number
  runs: number
}

export interface Done {
  runs: number
  ms: number
  failure: string | null
  /** The statements that were run in memory. */
  ran: string[]
}

let twins: Promise<ReturnType<typeof makeTwins>> | null = null

const ran = new Set<string>()
const fresh: Record<Chunk['kind'], Fresh> = {
  memory: () => Promise.resolve(memoryDatabase({}, ran)),
  postgres: async () => {
    twins ??= freshDatabase().then(({ url }) => makeTwins(url))
    return (await twins).fresh()
  },
}

/**
 * In every eighth chunk each: a process is cut off, operators block, sticky events would lapse while the remote fails, something is erased; in every
 * sixteenth the remote refuses some events, or some EDUs, much else happens during a search, some events are sent alone, operators act on what is set
 * aside, the remote lets nobody in, and there are EDUs; in every 32nd what is not listed is of a room that waits, and
 * EDUs come beside what else happens.
 */
function drawnFor(kind: Chunk['kind'], seed: number) {
  if (seed % 8 === 1) return uplinks
  if (seed % 8 === 3) return schedulesWithBlocks
  if (seed % 8 === 7) return erasing
  if (seed % 16 === 14) return refusingEdus
  if (seed % 32 === 22) return unlistedAndHeld
  if (seed % 8 === 6) return isolating
  if (seed % 16 === 2) return besideASearch
  if (seed % 16 === 10) return odd
  if (seed % 32 === 29) return edusBeside
  if (seed % 16 === 13) return edus
  if (seed % 16 === 4) return quarantined
  if (seed % 16 === 12) return locked
  if (kind === 'postgres') return schedulesOnPostgres
  return seed % 8 === 5 ? lapsing : schedules
}

async function run({ kind, seed, runs }: Chunk): Promise<Done> {
  const began = performance.now()
  const failed = await findFailure(fresh[kind], {
    ...{ runs, seed, drawn: drawnFor(kind, seed) },
  })
  const failure = failed === null ? null : await explain(fresh[kind], failed, seed)
  return { runs: failed?.runs ?? runs, ms: performance.now() - began, failure, ran: [...ran] }
}

/** Whatever still has a connection, a process that died in a transaction say, loses it with the server: nobody waits for it. */
async function end(): Promise<void> {
  await clearLeftovers()
  if (process.connected) process.disconnect()
}

process.on('message', (chunk: Chunk | 'end') => {
  if (chunk === 'end') void end()
  else void run(chunk).then((done) => process.connected && process.send?.(done))
})
// The process that started it is gone: nobody waits for what it does.
process.on('disconnect', () => void clearLeftovers().finally(() => process.exit()))
process.send?.('ready')
