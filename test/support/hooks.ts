/** Mocha's root hooks: after everything, the servers that support code started are stopped. */
import { clearLeftovers } from './leftovers.ts'

export const mochaHooks: Mocha.RootHookObject = {
  async afterAll(this: Mocha.Context) {
    this.timeout(300_000)
    await clearLeftovers()
  },
}
