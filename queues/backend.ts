/**
 * What the queues need of the datastore that holds them. `open-backend.ts` chooses it; everything above speaks `Backend`.
 *
 * An open backend survives its server: workers reconnect by themselves, and a call that waits fails within two seconds instead of
 * hanging.
 */
import type { NewJob } from './jobs.ts'

export type QueueConfig =
  | { kind: 'postgres'; url: string }
  /** One address of a Redis or of a Redis Cluster (which is noticed), or several of a Cluster. */
  | { kind: 'redis'; urls: string[] }

/** What of BullMQ's `Queue` is used here. */
export interface JobQueue {
  addBulk(jobs: NewJob[]): Promise<unknown>
  removeDeduplicationKey(id: string): Promise<number>
  getJobCounts(...states: ('waiting' | 'active')[]): Promise<Record<string, number>>
  on(event: 'error', listener: (error: Error) => void): unknown
}

/** What of BullMQ's `Worker` is used here. */
export interface JobWorker {
  /** Jobs that it takes at once; may be set. */
  concurrency: number
  on(event: 'error', listener: (error: Error) => void): unknown
  on(event: 'failed', listener: (job: { data: unknown } | undefined, error: Error) => void): unknown
  /** Takes no more jobs; those that are active go on. */
  pause(doNotWaitActive: true): Promise<void>
  resume(): Promise<void>
  close(): Promise<void>
}

/** Gets what was put into the job; when it throws, the job ends all the same. */
export type Processor = (data: unknown) => Promise<void>

export interface Backend {
  readonly kind: QueueConfig['kind']
  /** The same queue object for the same name. */
  openQueue(name: string): JobQueue
  /** Takes jobs from now on, at most `concurrency` at once. The caller listens to `error` and closes it. */
  openWorker(name: string, processor: Processor, opts: { concurrency: number }): JobWorker
  /** Asks the server for a sign of life. Rejects within two seconds when there is none. */
  ping(): Promise<void>
  /** Resolves when the server took a write, or would let one in. Rejects within two seconds when it does not. */
  takesWrites(): Promise<void>
  /** Brings BullMQ's own tables to this version; idempotent, safe from several processes at once. Nothing to do on Redis. */
  migrate(): Promise<void>
  /** Refuses a server on which jobs would be lost: a `QueueError` of code `settings` or, before `migrate`, `schema`. */
  checkSettings(): Promise<void>
  /** Ends every connection, at the latest after two seconds. Close the workers first. */
  close(): Promise<void>
}
