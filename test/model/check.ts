/** Draws schedules from a printed seed, runs them, and shrinks and shows the one that fails. */
import fc from 'fast-check'
import type { ModelDatabase } from './database.ts'
import { runSchedule } from './run.ts'
import { shrinkSchedule } from './shrink.ts'
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

/** The schedule that broke a promise, shrunk, or null. */
export async function findFailure(
  fresh: Fresh,
  {
    runs,
    seed = SEED,
    options,
    shrink = true,
    drawn = schedules,
  }: {
    runs: number
    seed?: number
    options?: WorldOptions | undefined
    shrink?: boolean
    /** Schedules to draw from. */
    drawn?: fc.Arbitrary<Command[]>
  },
): Promise<Failed | null> {
  const whyNot = async (schedule: readonly Command[], again = 10): Promise<string | null> => {
    try {
      await runSchedule(await fresh(), schedule, options)
      return null
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      return again > 0 && SPOILT.test(why) ? whyNot(schedule, again - 1) : why
    }
  }
  const property = fc.asyncProperty(drawn, async (schedule) => {
    const why = await whyNot(schedule)
    if (why !== null) throw new Error(why)
  })
  // fast-check draws; what is left out of a failure is known better here.
  const { failed, counterexample, numRuns, errorInstance } = await fc.check(property, {
    ...{ numRuns: runs, seed, endOnFailure: true },
  })
  const found = counterexample?.[0]
  if (!failed || found === undefined) return null
  const first = errorInstance instanceof Error ? errorInstance.message : String(errorInstance)
  const second = await whyNot(found)
  if (second === null) return { schedule: found, why: `${first} (once; not again)`, runs: numRuns }
  const why = second
  const rule = ruleOf(why)
  const schedule = shrink
    ? await shrinkSchedule(found, async (one) => ruleOf((await whyNot(one)) ?? '') === rule)
    : found
  return { schedule, why: (await whyNot(schedule)) ?? why, runs: numRuns }
}

/**
 * A machine that is too busy for a real database says nothing about limpet. Nor do two statements of one process that
 * came to the two databases in different orders: both are right. So the schedule is run again; a difference that is one stays.
 */
const SPOILT =
  /timeout exceeded when trying to connect|Query read timeout|idle-in-transaction|Connection terminated|both databases give the same/

/** What the violated promise is called. */
const ruleOf = (why: string): string => why.slice(0, Math.max(0, why.indexOf(':')))

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
    `the schedule, shrunk (seed ${seed}, schedule ${failed.runs}; LIMPET_SEED=${seed} repeats it):`,
    inWords(failed.schedule),
    '',
    'what happens:',
    await tellStory(fresh, failed.schedule, options),
  ].join('\n')
}

/** Throws a readable error for the first schedule, shrunk, that breaks a promise. */
export async function check(
  fresh: Fresh,
  { runs, drawn = schedules }: { runs: number; drawn?: fc.Arbitrary<Command[]> },
): Promise<void> {
  // One seed in the suite: a run that fails is a change's doing. `npm run test:model` draws.
  const seed = process.env['LIMPET_SEED'] === undefined ? 1688843616 : SEED
  console.log(`      seed ${seed}`)
  const failed = await findFailure(fresh, { runs, seed, drawn })
  if (failed !== null) throw new Error(await explain(fresh, failed, seed))
}
