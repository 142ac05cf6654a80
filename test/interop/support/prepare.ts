/** Mocha's global setup for the stories: what all of them need is there before the first of them begins. */
import { say } from './homeservers.ts'
import { venvOfTheRun } from './venv.ts'

/** Once a run, in the process that starts the others. */
export async function mochaGlobalSetup(): Promise<void> {
  await venvOfTheRun(say)
}
