/** Mocha's hooks for the stories, beside those of all tests: what every story needs is there before the first of them begins. */
import { leave, openFolder } from './alone.ts'
import { say } from './homeservers.ts'
import { venvOfTheRun } from './venv.ts'

/** Once a run, in the process that starts the others. */
export async function mochaGlobalSetup(): Promise<void> {
  openFolder()
  await venvOfTheRun(say)
}

export const mochaHooks: Mocha.RootHookObject = {
  afterAll: leave,
}
