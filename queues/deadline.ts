/** How long a caller waits for the queue, and the error it gets after that. */
import { timerMs } from '../src/pace/clock.ts'

/** How long a caller waits for the queue, ms. Longer than any healthy answer; short enough to fail a request by. */
export const QUEUE_PATIENCE_MS = 2_000

/**
 * `work`, or a rejection after `ms` milliseconds. The work itself is not stopped (neither Redis' nor PostgreSQL's
 * client can take a command back); its late answer is ignored.
 */
export async function withDeadline<T>(ms: number, what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: no answer within ${ms} ms`)), timerMs(ms))
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Resolves when `work` has settled either way, or after `ms` milliseconds; true when it has. */
export async function settledWithin(ms: number, work: Promise<unknown>): Promise<boolean> {
  try {
    await withDeadline(
      ms,
      'settled',
      work.catch(() => undefined),
    )
    return true
  } catch {
    return false
  }
}
