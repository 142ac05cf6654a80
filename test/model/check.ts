/** Draws schedules from a printed seed, runs them, and shrinks and shows the one that fails. */
import fc from 'fast-check'
import type { Driver } from './driver.ts'
import { runSchedule } from './run.ts'
import { inWords, schedules, type Command } from './schedule.ts'

export interface Failed {
  schedule: Command[]
  why: string
  runs: number
}

/** `LIMPET_SEED` repeats a run. */
export const SEED = Number(process.env['LIMPET_SEED'] ?? Math.floor(Math.random() * 2 ** 31))

/** The shrunk schedule that broke a promise, or null. */
export async function findFailure(
  makeDriver: () => Promise<Driver>,
  { runs, seed = SEED }: { runs: number; seed?: number },
): Promise<Failed | null> {
  const property = fc.asyncProperty(schedules, async (schedule) => runSchedule(await makeDriver(), schedule))
  const { failed, counterexample, errorInstance, numRuns } = await fc.check(property, { numRuns: runs, seed })
  if (!failed) return null
  const why =
    errorInstance instanceof Error ? (errorInstance.stack ?? errorInstance.message) : String(errorInstance)
  return { schedule: counterexample?.[0] ?? [], why, runs: numRuns }
}

/** Throws a readable error for the first schedule, shrunk, that breaks a promise. */
export async function check(makeDriver: () => Promise<Driver>, { runs }: { runs: number }): Promise<void> {
  console.log(`      seed ${SEED}`)
  const failed = await findFailure(makeDriver, { runs })
  if (failed === null) return
  throw new Error(
    `${failed.why}\n\nLIMPET_SEED=${SEED}, schedule ${failed.runs}, shrunk:\n${inWords(failed.schedule)}`,
  )
}
