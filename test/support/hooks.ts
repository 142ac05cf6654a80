/**
 * Mocha's root hooks: after everything, the servers that support code started are stopped. A process that runs files beside
 * another (`"parallel"`) is told of the end of each file only, whose time it notes; it clears up when it exits (`leftovers.ts`).
 * After each test: whatever limpet answered in it is described (`check-answers.ts`).
 */
import fc from 'fast-check'
import { checkAnswers, undescribed } from './check-answers.ts'
import { expectNotes, noteFile } from './file-times.ts'
import { clearLeftovers } from './leftovers.ts'
import { preparePgBouncer } from './pgbouncer.ts'
import { prepareRedis } from './redis.ts'

// One seed in the suite: a property that fails is a change's doing. `npm run fuzz` draws, and LIMPET_FUZZ_SEED repeats one.
const seed =
  process.env['LIMPET_FUZZ_SEED'] ?? (process.env['LIMPET_FUZZ_RUNS'] === undefined ? 20261130 : undefined)
if (seed !== undefined) fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: Number(seed) })

checkAnswers()

/** Once a run, in the process that starts the others. */
export async function mochaGlobalSetup(): Promise<void> {
  expectNotes()
  await prepareRedis()
  await preparePgBouncer()
}

function refuseUndescribed(): void {
  const found = undescribed()
  if (found.length > 0) throw new Error(`not as src/api/ describes it: ${found.join('; ')}`)
}

export const mochaHooks: Mocha.RootHookObject = {
  afterEach: refuseUndescribed,
  async afterAll(this: Mocha.Context) {
    this.timeout(300_000)
    refuseUndescribed()
    if (process.env['MOCHA_WORKER_ID'] === undefined) await clearLeftovers()
    else noteFile(this.test?.parent?.suites[0]?.file)
  },
}
