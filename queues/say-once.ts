import type { Log } from '../src/observe/log.ts'

/**
 * Logs a fault when it begins, not each time it is met: while a server is away BullMQ reports the same error
 * several times a second. `over()` says that it works again, so that the next fault is new.
 */
export function makeSayOnce({ log, what }: { log: Log; what: string }) {
  let last: string | null = null
  return {
    fault(error: Error): void {
      if (error.message === last) return
      last = error.message
      log.warn({ err: error }, what)
    },
    over(): void {
      last = null
    },
  }
}
