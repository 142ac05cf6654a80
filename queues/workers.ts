/**
 * Which workers this process runs: one for each queue of turns and one for the fanout, as its roles say.
 *
 * Promises: a job that throws is logged and ends (its retry time is in a row, and the sweep brings it back); nothing
 * that the queue does ends the process; `close` always returns. The queue makes it likely that a destination has only
 * one turn at a time; only the lease makes it certain.
 */
import type { Log } from '../src/observe/log.ts'
import type { Backend, JobWorker } from './backend.ts'
import { settledWithin } from './deadline.ts'
import { makeFaultLog } from './fault-log.ts'
import { destinationOf, FANOUT, TURN_QUEUES, turnJob } from './jobs.ts'
import type { TurnQueue } from './jobs.ts'

// What a turn may take to end once its signal is aborted, ms.
const ABORTED_MS = 2_000

/**
 * Serves one destination; `again`: gives up its turn although more is left. `quick`: to which queue its next turn
 * belongs; left out: the same.
 */
export type Turn = (destination: string, signal: AbortSignal) => Promise<{ again: boolean; quick?: boolean }>

export interface WorkersNeeds {
  backend: Backend
  turn: Turn
  /** Goes on from the stored cursor to the end of the stream, and wakes the destinations that it concerns. */
  fanout: (signal: AbortSignal) => Promise<void>
  /** Turns at once in this process, by queue. */
  concurrency: Record<TurnQueue, number>
  roles: { deliver: boolean; fanout: boolean }
  log: Log
}

export interface Workers {
  /** False: takes no more turns, and leaves them to other processes, until it is told true. Wakes are handed on all the same. */
  takeTurns(take: boolean): void
  /**
   * Takes no more jobs and lets the active ones end; after `graceMs` milliseconds their signal is aborted, and two
   * seconds later nothing waits for them any more: their locks run out and another process takes them.
   */
  close(graceMs: number): Promise<void>
  /** From now on so many turns at once. Those under way end as they would. */
  resize(concurrency: Record<TurnQueue, number>): void
}

export function startWorkers({ backend, turn, fanout, concurrency, roles, log }: WorkersNeeds): Workers {
  const stop = new AbortController()
  let closed = false
  const workers: JobWorker[] = []

  function start(name: string, atOnce: number, work: (data: unknown) => Promise<void>): JobWorker {
    const processor = async (data: unknown) => {
      try {
        await work(data)
      } catch (error) {
        const level = stop.signal.aborted ? 'info' : 'error'
        log[level]({ err: error, queue: name, destination: destinationOf(data) ?? undefined }, 'a job failed')
      }
    }
    const worker = backend.openWorker(name, processor, { concurrency: atOnce })
    // Without listeners to these two BullMQ's errors would end the process.
    const onFault = makeFaultLog({ log, what: `error in the queue ${name}` })
    worker.on('error', (error) => {
      if (!closed) onFault(error)
    })
    // Its row is as it was: the sweep finds it. One reason may concern hundreds of jobs at once.
    const onFailed = makeFaultLog({ log, what: `the queue ${name} gave up a job` })
    worker.on('failed', (_job, error) => onFailed(error))
    workers.push(worker)
    return worker
  }

  async function serve(queue: TurnQueue, data: unknown): Promise<void> {
    const destination = destinationOf(data)
    if (destination === null) {
      log.warn({ queue }, 'a job of another release was skipped')
      return
    }
    const { again, quick = queue === 'delivery' } = await turn(destination, stop.signal)
    // The queue keeps one wake for an active job and puts it at the end of the line when that job ends. (BullMQ's own
    // way to give up a turn, `moveToWait`, puts the job first in line on Redis: no other destination would get one.)
    if (again) await backend.openQueue(quick ? 'delivery' : 'recovery').addBulk([turnJob(destination)])
  }

  const turns = roles.deliver ? TURN_QUEUES : []
  const ofTurns = turns.map((queue) => ({
    ...{ queue, worker: start(queue, concurrency[queue], (data) => serve(queue, data)) },
  }))
  if (roles.fanout) start(FANOUT, 1, () => fanout(stop.signal))

  return {
    resize(next) {
      for (const { queue, worker } of ofTurns) worker.concurrency = next[queue]
    },
    takeTurns(take) {
      const done = ofTurns.map(({ worker }) => (take ? worker.resume() : worker.pause(true)))
      Promise.all(done).catch((error: unknown) =>
        log.warn({ err: error }, `the queue could not be told to ${take ? 'go on' : 'pause'}`),
      )
    },
    async close(graceMs) {
      const closing = Promise.all(workers.map((worker) => worker.close()))
      if (!(await settledWithin(graceMs, closing))) {
        stop.abort(new Error('the process is shutting down'))
        if (!(await settledWithin(ABORTED_MS, closing)))
          log.warn('jobs were still active when this process stopped; other processes will take them')
      }
      closed = true
    },
  }
}
