/**
 * Mocha's root hooks: after everything, the servers that support code started are stopped. A process that runs files beside
 * another (`"parallel"`) is told of the end of each file only, whose time it notes; it clears up when it exits (`leftovers.ts`).
 */
import { expectNotes, noteFile } from './file-times.ts'
import { clearLeftovers } from './leftovers.ts'
import { preparePgBouncer } from './pgbouncer.ts'
import { prepareRedis } from './redis.ts'

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
