/**
 * A process with the role `deliver`: the real turn, follower, fanout and look for what is due, around a clock, a queue
 * and a `send` that are the schedule's. Nothing else of the model knows `src/deliver`.
 */
import type { Clock } from '../../src/pace/clock.ts'
import { makeReleaseAbandoned } from '../../src/deliver/wake/abandoned.ts'
import { makeBlocking, type Blocking } from '../../src/deliver/blocking.ts'
import { makeDue } from '../../src/deliver/wake/due.ts'
import { makeFanout, type Wake } from '../../src/deliver/wake/fanout.ts'
import { makeFollow } from '../../src/deliver/follow/follow.ts'
import { makeOwnTrouble, type OwnTrouble } from '../../src/deliver/own-trouble.ts'
import type { Lease, LeaseKeeper } from '../../src/deliver/lease-keeper.ts'
import { makeSharedBodies } from '../../src/deliver/shared-bodies.ts'
import { makeTogether } from '../../src/deliver/together.ts'
import { makeTurn, takeAndServe, type TurnNeeds } from '../../src/deliver/turn.ts'
import { serve } from '../../src/deliver/serve.ts'
import type { Log } from '../../src/observe/log.ts'
import type { Pool } from '../../src/store/db.ts'
import { registerWorker, renewWorker } from '../../src/store/delivery/leases.ts'
import { AT_ONCE } from '../../src/pace/spare.ts'
import type { Find } from '../../src/deliver/find.ts'
import { makeGate } from '../../src/pace/gate.ts'
import type { Remotes } from '../../src/wire/send-result.ts'
import { placesFor } from '../support/places.ts'
import { OURS, SETTINGS, US } from './driver.ts'
import type { Process } from './process.ts'

export interface DelivererNeeds extends Remotes {
  find: Find
  process: Process
  /** For what asks beside everything else. */
  asking: Pool
  now: () => number
  monotonic: () => number
  wake: Wake
  /** A turn gave way although more is left. */
  again: () => void
  /** Something that must not happen. */
  fault: (what: string, error: unknown) => void
  /** Ids of workers, no two the same. */
  workerId: () => string
  catchUp: typeof SETTINGS.catchUp
  /** It may take failures for its own fault. */
  judges: boolean
  /** Whether a connection can be made, on which nothing is sent. */
  isThere: () => boolean
  /** In the place of the right one. */
  whenBlocked?: Blocking['whenBlocked'] | undefined
}

export interface Deliverer {
  process: Process
  /** A job for the watched destination. */
  turn: () => void
  /** The fanout's job. */
  fanout(): void
  /** Every sleeper whose time has come goes on. */
  tick(): void
  /** Its worker, where it has a lease. */
  worker(): string | null
  /** The lease is over; `noticed`: it knows. */
  loseLease: (noticed: boolean) => void
  /** How far its clock is off, ms. */
  skew(byMs: number): void
  /** It asks whom operators block, as it does each second. */
  hear(): Promise<void>
  /** It takes failures for its own fault. */
  isTroubled(): boolean
  /** As far as it knows. */
  isBlocked(): boolean
}

export function makeDeliverer(needs: DelivererNeeds): Deliverer {
  const { process } = needs
  const { pool } = process
  const sleepers = new Set<{ until: number; wake: () => void }>()
  let skew = 0
  let term: { lease: Lease; controller: AbortController } | null = null

  const clock: Clock = {
    now: () => needs.now() + skew,
    monotonic: needs.monotonic,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted === true) {
          resolve()
          return
        }
        const done = () => {
          sleepers.delete(sleeper)
          signal?.removeEventListener('abort', done)
          resolve()
        }
        const sleeper = { until: needs.monotonic() + ms, wake: done }
        sleepers.add(sleeper)
        signal?.addEventListener('abort', done, { once: true })
      }),
  }

  function lose(): void {
    term?.controller.abort(new Error('the lease is lost'))
    term = null
  }
  const mayWork = () => ours?.mayWork() !== false
  const lease: Pick<LeaseKeeper, 'current' | 'next' | 'over'> = {
    current: () => term?.lease ?? null,
    async next() {
      if (term !== null) return term.lease
      const id = needs.workerId()
      await registerWorker(pool, { id, name: process.name, leaseMs: SETTINGS.leaseMs })
      const controller = new AbortController()
      const { signal } = controller
      term = { controller, lease: { id, signal, stillHeld: () => !signal.aborted } }
      return term.lease
    },
    over: (id) => {
      if (term?.lease.id === id) lose()
    },
  }

  async function renew(id: string): Promise<void> {
    const said = ours === null ? {} : { report: ours.report() }
    if (!(await renewWorker(pool, { id, leaseMs: SETTINGS.leaseMs, ...said }))) lease.over(id)
  }

  const log = makeLog(needs.fault)
  const never = new AbortController().signal
  const running = new Set<string>()
  // Nothing holds it up: it asks while anything else waits.
  // It is waited for as for anything else of this process, or the schedule would go on before the process has begun.
  const asking = {
    query: (text: string, values?: unknown[]) => process.during(needs.asking.query(text, values)),
  } as unknown as Pool
  const right = makeBlocking({ pool: asking, configured: null, clock, log })
  const blocking = { ...right, whenBlocked: needs.whenBlocked ?? right.whenBlocked }
  let began = false
  const beginning = blocking.read().then(() => {
    began = true
  })
  const ours: OwnTrouble | null = !needs.judges
    ? null
    : makeOwnTrouble({
        ...{ pool, clock, log, isBlocked: blocking.isBlocked, probeMs: SETTINGS.probeMs },
        worker: () => term?.lease.id ?? null,
        forgetFailures: () => undefined,
        probe: (name) => probe(name),
        isThere: () => Promise.resolve(needs.isThere()),
        onChange: () => undefined,
        limits: SETTINGS.faults,
      })
  const onAttempt: TurnNeeds['onAttempt'] = ({ answered, finishedAt }) => {
    if (answered) ours?.answered(finishedAt)
  }
  const shared = {
    ...{ pool, blocking, running, log, clock, origin: OURS, random: () => 0.5, stopping: never },
    ...{ deadline: SETTINGS.deadline, edus: SETTINGS.edus },
    ...{ backoff: SETTINGS.backoff, maxPdus: SETTINGS.maxPdus, maxBodyBytes: SETTINGS.maxBodyBytes },
    requestTimeoutMs: SETTINGS.requestTimeoutMs,
    connect: needs.connect,
    takeIdle: needs.takeIdle,
    isConnected: needs.isConnected,
    ...placesFor(100, { bytes: SETTINGS.bodiesBytes, clock }),
    onAttempt,
    ...(ours !== null && { ours, mayGoOn: mayWork }),
    bodyOf: makeSharedBodies({ origin: OURS, clock }),
    ...makeTogether(pool, 1),
  }
  const wake: Wake = (who) =>
    ours?.othersServe() === false
      ? Promise.resolve()
      : needs.wake(who.filter(({ name }) => !blocking.isBlocked(name)))
  const follow = makeFollow({
    ...shared,
    wake,
    serveOn: (...given) => serve(turning, ...given),
    takeAgain: (...given) => takeAndServe(turning, ...given),
    ...{ lingerMs: SETTINGS.lingerMs, most: 100, cutting: never, mayWork },
  })
  const turning: TurnNeeds = {
    ...shared,
    ...{
      follow,
      lease: { over: lease.over, next: () => (mayWork() ? lease.next() : Promise.resolve(null)) },
      catchUp: needs.catchUp,
      onLapsed: () => undefined,
      farLooks: makeGate(100),
      firstLooks: makeGate(100),
      spare: AT_ONCE,
      find: needs.find,
    },
  }
  const served = makeTurn(turning)
  // The other server only is in the way: nobody watches what it gets.
  const turn: typeof served = async (name, signal) => {
    if (!began) await beginning
    return name === US ? served(name, signal) : { again: false }
  }
  async function probe(name: string): Promise<void> {
    let tried = false
    if (name !== US) return
    const once = makeTurn({
      ...turning,
      lease,
      mayGoOn: () => mayWork() || !tried,
      onAttempt: (at) => {
        tried = true
        onAttempt(at)
      },
    })
    await once(name, never)
  }
  const fanout = makeFanout({ pool, wake, clock, deadline: SETTINGS.deadline })
  const due = makeDue({
    carryOut: () => Promise.resolve(),
    ...{ pool, turn, wake, clock, log, everyMs: 500, waiting: 64, patienceMs: 0, cutting: never },
    rampPerSecond: 1_000,
    releaseAbandoned: makeReleaseAbandoned({ pool, lease, running, clock, log }),
    forget: () => Promise.resolve(),
    blocking,
    mayWake: mayWork,
  })
  const unlessEnded = (what: string) => (error: unknown) => {
    if (!wasEnded(error)) needs.fault(what, error)
  }
  void due(never).catch(unlessEnded('the look for what is due'))
  if (ours !== null) void ours.run(never).catch(unlessEnded('looking whether it is in trouble'))
  void follow.run().catch(unlessEnded('following'))

  return {
    process,
    turn: () => {
      turn(US, never).then(({ again }) => {
        if (again) needs.again()
      }, unlessEnded('a turn'))
    },
    fanout: () => {
      follow.nudge()
      fanout(never).catch(unlessEnded('the fanout'))
    },
    tick: () => {
      if (term !== null) renew(term.lease.id).catch(unlessEnded('renewing the lease'))
      for (const sleeper of [...sleepers]) if (sleeper.until <= needs.monotonic()) sleeper.wake()
    },
    worker: () => term?.lease.id ?? null,
    loseLease: (noticed) => {
      if (noticed) lose()
    },
    skew: (byMs) => {
      skew += byMs
    },
    hear: () => blocking.read(),
    isTroubled: () => !mayWork(),
    isBlocked: () => blocking.isBlocked(US),
  }
}

/** PostgreSQL ended the session of a process that was stopped in a transaction. */
const wasEnded = (error: unknown) => (error as { code?: unknown } | undefined)?.code === '25P03'

/** Errors in the log are faults; the rest says nothing here. */
function makeLog(fault: DelivererNeeds['fault']): Log {
  const nothing = () => undefined
  const error = (about: { err?: unknown }, what: string) => {
    if (!wasEnded(about.err)) fault(what, about.err)
  }
  const warn = (about: { err?: unknown }, what: string) => {
    if (about.err !== undefined && !wasEnded(about.err)) fault(what, about.err)
  }
  return { error, warn, info: nothing, debug: nothing, trace: nothing, fatal: error } as unknown as Log
}
