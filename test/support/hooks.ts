/**
 * Mocha's root hooks: after everything, the servers that support code started are stopped. A process that runs files beside
 * another (`"parallel"`) is told of the end of each file only, whose time it notes; it clears up when it exits (`leftovers.ts`).
 */
import fc from 'fast-check'
import { expectNotes, noteFile } from './file-times.ts'
import { clearLeftovers } from './leftovers.ts'
import { preparePgBouncer } from './pgbouncer.ts'
import { prepareRedis } from './redis.ts'

// One seed in the suite: a property that fails is a change's doing. `npm run fuzz` draws, and LIMPET_FUZZ_SEED repeats one.
const seed =
  process.env['LIMPET_FUZZ_SEED'] ?? (process.env['LIMPET_FUZZ_RUNS'] === undefined ? 20261130 : undefined)
if (seed !== undefined) fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: Number(seed) })

/** Once a run, in the process that starts the others. */
export async function mochaGlobalSetup(): Promise<void> {
  expectNotes()
  await prepareRedis()
  await preparePgBouncer()
}

export const mochaHooks: Mocha.RootHookObject = {
  async afterAll(this: Mocha.Context) {
    this.timeout(300_000)
    if (process.env['MOCHA_WORKER_ID'] === undefined) await clearLeftovers()
    else noteFile(this.test?.parent?.suites[0]?.file)
  },
}
