/**
 * How the rest of the daemon puts work into the queues: wake destinations, nudge the fanout.
 *
 * Everything here is advice. A call that fails (within about two seconds, never later) costs time and nothing else,
 * because the sweep finds every destination that is owed something and has no job; callers may ignore the rejection.
 */
import type { Log } from '../src/observe/log.ts'
import type { Backend, JobQueue } from './backend.ts'
import { QUEUE_PATIENCE_MS, withDeadline } from './deadline.ts'
import { makeFaultLog } from './fault-log.ts'
import { FANOUT, fanoutJob, TURN_QUEUES, QUEUE_NAMES, turnJob } from './jobs.ts'
import type { NewJob, WakeTarget } from './jobs.ts'
import { makeOnceMore } from './once-more.ts'

// On PostgreSQL a bulk holds one advisory lock for each of its jobs, and the lock table is small (64 a connection).
const BULK_SIZE = 250

export interface Queues {
  /** Sees to it that a turn starts for each target after this call. Call it after the commit. */
  wake(targets: readonly WakeTarget[]): Promise<void>
  /** Sees to it that the fanout looks at the stream after this call. Many calls at once cost two jobs. */
  nudgeFanout(): Promise<void>
  /**
   * Forgets that this destination has a job, in both queues, so that the next wake makes a new one: for a destination
   * that was woken and never served. On Redis a wait list that was lost while the job's hash stayed swallows every wake.
   */
  forget(destination: string): Promise<void>
  /** Jobs by queue and state (`waiting`, `active`). */
  counts(): Promise<Record<string, Record<string, number>>>
  /** Rejects within two seconds when the queue does not answer, or answers that it accepts no writes. */
  takesWrites(): Promise<void>
  /** Takes no more jobs; resolves when those under way are in, or have failed. The connections are the backend's. */
  close(): Promise<void>
}

export function openQueues({ backend, log }: { backend: Backend; log: Log }): Queues {
  const onFault = makeFaultLog({ log, what: 'error in the queue' })
  const open = (name: string): JobQueue => {
    const queue = backend.openQueue(name)
    queue.on('error', onFault)
    return queue
  }
  const queues = new Map(QUEUE_NAMES.map((name) => [name, open(name)]))
  const queueOf = (name: (typeof QUEUE_NAMES)[number]): JobQueue => queues.get(name) ?? open(name)
  const underWay = new Set<Promise<unknown>>()
  let closed = false

  async function patiently<T>(what: string, work: () => Promise<T>): Promise<T> {
    if (closed) throw new Error(`${what}: the queues are closed`)
    const done = withDeadline(QUEUE_PATIENCE_MS, what, work())
    underWay.add(done)
    try {
      return await done
    } finally {
      underWay.delete(done)
    }
  }

  async function add(name: (typeof QUEUE_NAMES)[number], jobs: NewJob[]): Promise<void> {
    for (let from = 0; from < jobs.length; from += BULK_SIZE) {
      const bulk = jobs.slice(from, from + BULK_SIZE)
      await patiently(`adding to the queue ${name}`, () => queueOf(name).addBulk(bulk))
    }
  }

  return {
    async wake(targets) {
      await Promise.all(
        TURN_QUEUES.map((queue) => {
          const names = new Set(
            targets.filter((target) => target.queue === queue).map((target) => target.destination),
          )
          return add(queue, [...names].map(turnJob))
        }),
      )
    },
    nudgeFanout: makeOnceMore(() => add(FANOUT, [fanoutJob()])),
    async forget(destination) {
      await patiently('forgetting a job', () =>
        Promise.all(TURN_QUEUES.map((queue) => queueOf(queue).removeDeduplicationKey(destination))),
      )
    },
    async counts() {
      const entries = QUEUE_NAMES.map(async (name) => {
        const counts = await patiently('counting jobs', () => queueOf(name).getJobCounts('waiting', 'active'))
        return [name, { waiting: counts['waiting'] ?? 0, active: counts['active'] ?? 0 }] as const
      })
      return Object.fromEntries(await Promise.all(entries))
    },
    takesWrites: () => backend.takesWrites(),
    async close() {
      closed = true
      await Promise.allSettled(underWay)
    },
  }
}
