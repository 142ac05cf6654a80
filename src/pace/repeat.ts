/** Something is done again and again, with a rest after each time. What goes wrong is told, and it goes on. */
import type { Clock } from './clock.ts'

export interface RepeatNeeds {
  clock: Clock
  everyMs: number
  /** What becomes of an error; left out: `work` never throws one. */
  failed?: (error: unknown) => void
}

/** Until `signal` aborts, from now on. Resolves when the last `work` has ended. */
export async function repeat(
  work: () => Promise<unknown>,
  { clock, everyMs, failed }: RepeatNeeds,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await work()
    } catch (error) {
      if (failed === undefined) throw error
      failed(error)
    }
    await clock.sleep(everyMs, signal)
  }
}
