/**
 * Logs the first failure of a series and its end, but not each one: for work that is repeated twice a second. A series
 * belongs to the work that fails; that it then fails in another way is not logged.
 */
import type { Log } from './log.ts'

export interface FaultNotes {
  failed(what: string, error: unknown): void
  worked(what: string): void
  /** Does the work; that it fails is noted, and nothing else. */
  note(what: string, work: () => Promise<void>): Promise<void>
}

export function makeFaultNotes(log: Pick<Log, 'info' | 'warn'>): FaultNotes {
  const failing = new Set<string>()

  function failed(what: string, error: unknown): void {
    if (!failing.has(what)) log.warn({ err: error }, `${what} failed; trying again`)
    failing.add(what)
  }

  function worked(what: string): void {
    if (failing.delete(what)) log.info(`${what} works again`)
  }

  return {
    failed,
    worked,
    note: async (what, work) => {
      try {
        await work()
        worked(what)
      } catch (error) {
        failed(what, error)
      }
    },
  }
}
