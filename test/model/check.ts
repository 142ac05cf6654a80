/** Draws schedules from a printed seed, runs them, and shrinks and shows the one that fails. */
import fc from 'fast-check'
import type { ModelDatabase } from './database.ts'
import { runSchedule } from './run.ts'
import { schedules, type Command } from './schedule.ts'
import { inWords } from './words.ts'
import type { WorldOptions } from './world.ts'

export interface Failed {
  schedule: Command[]
  why: string
  /** Schedules that were run until it was found. */
  runs: number
}

/** `LIMPET_SEED` repeats a run. */
export const SEED = Number(process.env['LIMPET_SEED'] ?? Math.floor(Math.random() * 2 ** 31))

/** Gives each schedule a database of its own. */
export type Fresh = () => Promise<ModelDatabase>

/** The shrunk schedule that broke a promise, or null. */
export async function findFailure(
  fresh: Fresh,
  { runs, seed = SEED, options }: { runs: number; seed?: number; options?: WorldOptions },
): Promise<Failed | null> {
  const property = fc.asyncProperty(schedules, async (schedule) =>
    runSchedule(await fresh(), schedule, options),
  )
  const { failed, counterexample, errorInstance, numRuns } = await fc.check(property, { numRuns: runs, seed })
  if (!failed) return null
  const why = errorInstance instanceof Error ? errorInstance.message : String(errorInstance)
  return { schedule: counterexample?.[0] ?? [], why, runs: numRuns }
}

/** What happens in a schedule, line by line, up to where it fails. */
export async function tellStory(
  fresh: Fresh,
  schedule: readonly Command[],
  options: WorldOptions = {},
): Promise<string> {
  const lines: string[] = []
  const tell = (line: string) => lines.push(line)
  try {
    await runSchedule(await fresh(), schedule, { ...options, tell })
    lines.push('  nothing was violated this time')
  } catch (error) {
    lines.push(`  VIOLATED: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
  }
  return lines.join('\n')
}

/** What a person reads of a failure. */
export async function explain(
  fresh: Fresh,
  failed: Failed,
  seed: number,
  options?: WorldOptions,
): Promise<string> {
  return [
    `violated: ${failed.why}`,
    '',
    `the schedule, shrunk (LIMPET_SEED=${seed} repeats it; it was the ${failed.runs}th):`,
    inWords(failed.schedule),
    '',
    'what happens:',
    await tellStory(fresh, failed.schedule, options),
  ].join('\n')
}

/** Throws a readable error for the first schedule, shrunk, that breaks a promise. */
export async function check(fresh: Fresh, { runs }: { runs: number }): Promise<void> {
  console.log(`      seed ${SEED}`)
  const failed = await findFailure(fresh, { runs })
  if (failed !== null) throw new Error(await explain(fresh, failed, SEED))
}
