/**
 * Keeps this process' lease, and says at once when it is lost.
 *
 * The lease is renewed three times in its length. A process that could not renew it takes it for lost
 * some time before the database does (a seventh of its length, by a clock that also runs while the process
 * is stopped), aborts what it has under way, gives back what it had, and goes on under a new id. So it is after a
 * failover of the database, too, and after its restart: a lease ends with the server that gave it.
 */
import { randomUUID } from 'node:crypto'
import type { Clock } from '../pace/clock.ts'
import { makeNudge } from '../pace/nudge.ts'
import { makeFaultNotes } from '../observe/fault-notes.ts'
import type { Log } from '../observe/log.ts'
import type { Pool } from '../store/db.ts'
import {
  giveUpWorker,
  registerWorker,
  renewWorker,
  retireWorker,
  type SelfReport,
} from '../store/delivery/leases.ts'

export interface Lease {
  /** This worker's id, as destinations name their owner. */
  id: string
  /** Aborts when the lease is lost. */
  signal: AbortSignal
  /** Asked right before anything is written to a socket. */
  readonly stillHeld: () => boolean
}

export interface LeaseKeeper {
  /** The lease, or null while there is none. */
  current(): Lease | null
  /** The lease, or the next one when it was just lost; null: there was none for a lease's length, or it stops. */
  next(): Promise<Lease | null>
  /** The database says that this lease is over (its clock was moved, say): it is given up at once. */
  over(id: string): void
  /** Renews it soon, as there is something new to say of this process. */
  renewSoon(): void
  /** Resolves when the first lease is there. */
  start(): Promise<void>
  /** Gives the lease back; what still ran under it is aborted. */
  stop(): Promise<void>
}

export interface LeaseKeeperNeeds {
  pool: Pool
  /** What operators see as `process`. */
  name: string
  leaseMs: number
  clock: Clock
  log: Log
  /** What is said of this process with each renewal; left out: nothing. */
  report?: () => SelfReport
}

interface Term {
  lease: Lease
  controller: AbortController
  /** By the monotonic clock: not held after this. */
  deadline: number
}

export function makeLeaseKeeper({ pool, name, leaseMs, clock, log, report }: LeaseKeeperNeeds): LeaseKeeper {
  const margin = leaseMs / 7
  const stopping = new AbortController()
  const stopped = () => stopping.signal.aborted
  let term: Term | null = null
  const ended = makeNudge(clock)
  let working: Promise<void> | null = null
  const faults = makeFaultNotes(log)
  const RENEWAL = 'renewing the lease'

  async function begin(): Promise<void> {
    const id = randomUUID()
    const before = clock.monotonic()
    await registerWorker(pool, { id, name, leaseMs })
    const controller = new AbortController()
    const next: Term = {
      controller,
      deadline: before + leaseMs - margin,
      lease: {
        id,
        signal: controller.signal,
        stillHeld: () => !controller.signal.aborted && clock.monotonic() < next.deadline,
      },
    }
    term = next
  }

  function lose(why: string): void {
    if (term === null) return
    const { id } = term.lease
    log.warn({ worker: id, why }, 'lease lost: transactions under way in this process are aborted')
    term.controller.abort(new Error('the lease is lost'))
    term = null
    // Where the database does not hear of it, the lease ends by itself.
    giveUpWorker(pool, id).catch((error: unknown) =>
      log.debug({ err: error }, 'a lost lease could not be removed'),
    )
  }

  async function renew(held: Term): Promise<void> {
    const before = clock.monotonic()
    const said = report === undefined ? {} : { report: report() }
    if (await renewWorker(pool, { id: held.lease.id, leaseMs, ...said }))
      held.deadline = before + leaseMs - margin
    else lose('it was over before it was renewed, or the database is another server now')
  }

  async function keep(): Promise<void> {
    while (!stopped()) {
      const left = term === null ? 0 : term.deadline - clock.monotonic()
      await ended.wait(Math.max(0, Math.min(leaseMs / 3, left)), stopping.signal)
      if (stopped()) return
      try {
        if (term === null) await begin()
        else if (clock.monotonic() < term.deadline) await renewInTime(term)
        faults.worked(RENEWAL)
      } catch (error) {
        faults.failed(RENEWAL, error)
        await clock.sleep(leaseMs / 30, stopping.signal)
      }
      if (term !== null && clock.monotonic() >= term.deadline) lose('it was not renewed in time')
    }
  }

  /** Ends with the renewal or, when the database hangs, at the deadline. */
  async function renewInTime(held: Term): Promise<void> {
    const done = new AbortController()
    const renewal = renew(held).finally(() => done.abort())
    await Promise.race([renewal, clock.sleep(held.deadline - clock.monotonic(), done.signal)])
    // Nothing listens for a late rejection any more.
    renewal.catch(() => undefined)
  }

  const current = () => (term !== null && term.lease.stillHeld() ? term.lease : null)

  return {
    current,
    next: async () => {
      const until = clock.monotonic() + leaseMs
      while (current() === null && !stopping.signal.aborted && clock.monotonic() < until) {
        await clock.sleep(leaseMs / 60, stopping.signal)
      }
      return current()
    },
    over: (id) => {
      if (term?.lease.id !== id) return
      lose('the database says that it is over')
      ended.nudge()
    },
    renewSoon: () => ended.nudge(),
    start: async () => {
      await begin()
      working = keep()
    },
    stop: async () => {
      stopping.abort()
      await working
      const held = term
      if (held === null) return
      held.controller.abort(new Error('the daemon stops'))
      term = null
      await retireWorker(pool, held.lease.id).catch((error: unknown) => {
        log.warn({ err: error }, 'the lease could not be given back; it ends by itself')
      })
    },
  }
}
