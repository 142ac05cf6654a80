/**
 * What a job says, and how it is put into a queue.
 *
 * A job names the work and never holds it: what is owed, to whom and how far we got are rows in PostgreSQL
 * that the turn reads when it starts. So it does not matter when the oldest of several wakes is the one that
 * is kept, and a lost queue loses time, never an event.
 */
import type { JobsOptions } from 'bullmq'

/** `delivery`: destinations that answer quickly. `recovery`: all others, so that the dead can't hold up the living. */
export type TurnQueue = 'delivery' | 'recovery'
export const TURN_QUEUES: readonly TurnQueue[] = ['delivery', 'recovery']

export const FANOUT = 'fanout'
export const QUEUE_NAMES = [FANOUT, ...TURN_QUEUES] as const

export interface WakeTarget {
  destination: string
  queue: TurnQueue
}

/** Versioned, because during an upgrade the old and the new release work the same queue. */
export interface TurnJob {
  v: 1
  destination: string
}

/** A fanout job carries nothing: where to go on from is a cursor in the database. */
export type FanoutJob = Record<string, never>

export type JobData = TurnJob | FanoutJob

export interface NewJob {
  name: string
  data: JobData
  opts: JobsOptions
}

/**
 * The one set of options under which no wake is lost and no two jobs of one id are active: the queue gives
 * the job its id, the deduplication id is what the job is about, and a wake that comes while the job is
 * active is kept and runs after it. (A job id per destination, a `ttl`, or taking the key away each lost wakes
 * or ran two.) BullMQ never tries again: retry times are rows.
 */
function optionsFor(deduplicationId: string): JobsOptions {
  return {
    deduplication: { id: deduplicationId, keepLastIfActive: true },
    removeOnComplete: true,
    removeOnFail: true,
    attempts: 1,
  }
}

export function turnJob(destination: string): NewJob {
  return { name: 'turn', data: { v: 1, destination }, opts: optionsFor(destination) }
}

export function fanoutJob(): NewJob {
  return { name: 'fanout', data: {}, opts: optionsFor(FANOUT) }
}

/** The destination of a turn job, or null when another release wrote something that this one does not know. */
export function destinationOf(data: unknown): string | null {
  if (typeof data !== 'object' || data === null) return null
  const { v, destination } = data as Record<string, unknown>
  return v === 1 && typeof destination === 'string' ? destination : null
}
