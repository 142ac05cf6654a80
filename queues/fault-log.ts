/**
 * Logs what BullMQ reports without flooding the log: each kind of fault at most once in ten seconds, with a count.
 */
import type { Log } from '../src/observe/log.ts'

// How long the same kind of fault is only counted after it was said, ms.
const MUTE_MS = 10_000

/**
 * Logs what BullMQ reports, each kind of fault at once and then at most every ten seconds with how often it came: while
 * a server is away the same error comes several times a second, and an emptied queue gives one for every active job.
 */
export function makeFaultLog({ log, what }: { log: Log; what: string }): (error: Error) => void {
  const muted = new Map<string, number>()

  return function say(error) {
    // Redis names a script by its hash: which one it refused does not make a kind of its own.
    const kind = error.message.replace(/\b[0-9a-f]{40}\b|\d+/g, '0')
    const more = muted.get(kind)
    if (more !== undefined) {
      muted.set(kind, more + 1)
      return
    }
    muted.set(kind, 0)
    log.warn({ err: error }, what)
    const unmute = () => {
      const times = muted.get(kind) ?? 0
      muted.delete(kind)
      if (times > 0) log.warn({ times, error: error.message }, `${what}, again`)
    }
    setTimeout(unmute, MUTE_MS).unref()
  }
}
