/** Starts delivery in this process: the lease, the queue's workers, and the search for due destinations. */
import { hostname } from 'node:os'
import type { Backend } from '../../queues/backend.ts'
import type { Queues } from '../../queues/queues.ts'
import { startWorkers } from '../../queues/workers.ts'
import { timerMs, type Clock, type Random } from '../pace/clock.ts'
import type { Config } from '../config/config.ts'
import { makeReleaseAbandoned } from '../deliver/wake/abandoned.ts'
import { makeBodies } from '../deliver/body-memory.ts'
import { makeAtHand, type AtHand } from '../deliver/wake/at-hand.ts'
import { makeDue } from '../deliver/wake/due.ts'
import { makeGate } from '../pace/gate.ts'
import { AT_ONCE, eventLoopUse, makeSpare } from '../pace/spare.ts'
import { makeFind } from '../deliver/find.ts'
import { makeFanout, type Wake } from '../deliver/wake/fanout.ts'
import { makeLeaseKeeper } from '../deliver/lease-keeper.ts'
import { makeOwnTrouble, type OwnTrouble } from '../deliver/own-trouble.ts'
import { makeFollow, type Follow } from '../deliver/follow/follow.ts'
import { makeSharedBodies } from '../deliver/shared-bodies.ts'
import { makeLoadApart, makeTogether } from '../deliver/together.ts'
import type { Blocking } from '../deliver/blocking.ts'
import type { ServeTurn } from '../deliver/turned.ts'
import { makeTurn, takeAndServe, type TurnNeeds } from '../deliver/turn.ts'
import { serve } from '../deliver/serve.ts'
import type { ServerName } from '../matrix/ids.ts'
import type { SigningKey } from '../matrix/signing.ts'
import { countAttempt, type CountedAttempt } from '../observe/count-attempt.ts'
import type { Log } from '../observe/log.ts'
import type { Metrics } from '../observe/metrics.ts'
import type { Pool } from '../store/db.ts'
import { carryOutPlanned } from '../store/delivery/planned-acts.ts'
import type { Sleeper } from '../store/delivery/wake-lists.ts'
import type { Outbound } from './open-outbound.ts'
import { version } from './version.ts'
import { makeRemotes } from '../wire/send.ts'

export interface DeliveryNeeds {
  config: Config
  pool: Pool
  backend: Backend
  queues: Queues
  wake: Wake
  key: SigningKey
  /** False: this process takes no new work (its schema is not the database's any more). */
  mayWork: () => boolean
  outbound: Pick<Outbound, 'connections' | 'resolveTarget' | 'discovery'>
  blocking: Blocking
  /** Destinations that are looked for at once, at most. */
  discoveries: number
  metrics: Metrics
  clock: Clock
  random: Random
  log: Log
}

export interface Delivery {
  /** Begins nothing new, lets requests under way end (at most `shutdown_grace_ms`), and gives the lease back. */
  stop(): Promise<void>
  /** Ingest of this process has taken something. */
  nudge(): void
}

/** How often due destinations are looked for, ms. */
const DUE_EVERY_MS = 500
/** Looks at destinations that are far behind, at once: fewer than the database has connections for us. */
const FAR_LOOKS = 12
/** Destinations of which it is asked at the same time whether they are owed anything: short questions, of which there may be thousands. */
const FIRST_LOOKS = 2
/** While a followed destination was sent something this recently, those without a connection are dialled as time allows, ms. */
const STEADY_MS = 1_000
/** Due destinations that may wait in the queue at once, however few places there are: each look brings no more. */
const LEAST_WAITING = 64

export async function startDelivery(needs: DeliveryNeeds): Promise<Delivery> {
  const { config, pool, backend, queues, blocking, metrics, clock, random, log } = needs
  const { federation } = config
  const { connections, resolveTarget } = needs.outbound
  const stopping = new AbortController()
  const cutting = new AbortController()
  const name = `${hostname()}:${process.pid}`
  const keeper = makeLeaseKeeper({
    ...{ pool, name, leaseMs: config.internal.lease_ms, clock, log },
    report: () => ours.report(),
  })
  const remotes = makeRemotes({
    connections,
    resolveTarget,
    key: needs.key,
    origin: config.server_name,
    userAgent: `limpet/${version}`,
    clock,
    log,
    underWay: metrics.transactionsInFlight,
  })
  // Both queues together; of these the recovery queue can have no more than its workers.
  const inFlight = makeGate(federation.max_concurrency)
  // Those of `recovery`, and half of the others.
  const dials = Math.ceil((federation.max_concurrency + federation.recovering_concurrency) / 2)
  const bodies = makeBodies(config.memory.bodies_bytes)
  metrics.watchBodies(() => bodies.held())
  const { deadline_retries, deadline_retry_min_ms } = config.sticky
  const deadline = { deadline_retries, deadline_retry_min_ms, long_outage_ms: federation.long_outage_ms }
  const running = new Set<string>()
  const mayWork = () => needs.mayWork() && ours.mayWork()
  const ours: OwnTrouble = makeOwnTrouble({
    ...{ pool, clock, log, isBlocked: blocking.isBlocked },
    worker: () => keeper.current()?.id ?? null,
    forgetFailures: () => needs.outbound.discovery.forgetFailures(),
    probe: (destination) => probe(destination),
    isThere: async (destination) => {
      const reach = { stillHeld: () => true, signal: stopping.signal }
      const reached = await remotes.connect({ ...reach, destination: destination as ServerName })
      if (reached.kind === 'ready') reached.giveBack()
      // An idle one may be from before.
      return reached.kind === 'ready' && !reached.wasIdle
    },
    onChange: (kind) => {
      metrics.setOwnTrouble(kind)
      workers.takeTurns(kind === null)
      keeper.renewSoon()
    },
    probeMs: config.internal.probe_ms,
  })
  const onAttempt = (at: CountedAttempt) => {
    if (at.answered) ours.answered(at.finishedAt)
    countAttempt(metrics, at)
  }
  const shared = {
    pool,
    blocking,
    running,
    ...remotes,
    place: inFlight,
    dialling: makeGate(dials),
    bodies,
    random,
    clock,
    log,
    deadline,
    backoff: { ...federation.backoff, dead_after_ms: federation.dead_after_ms },
    requestTimeoutMs: federation.request_timeout_ms,
    ...makeTogether(pool),
    bodyOf: makeSharedBodies({ origin: config.server_name, clock }),
    origin: config.server_name,
    maxPdus: federation.max_pdus,
    maxBodyBytes: federation.max_body_bytes,
    stopping: stopping.signal,
    onAttempt,
    ours,
    mayGoOn: mayWork,
  }
  const atHand: AtHand = makeAtHand({
    wake: needs.wake,
    turn: (...given) => turn(...given),
    isConnected: (destination) => remotes.isConnected(destination as ServerName),
    ...{ stopping: stopping.signal, cutting: cutting.signal, log },
  })
  const wake: Wake = async (sleepers) => {
    const them = sleepers.filter(({ name }) => !blocking.isBlocked(name))
    if (ours.mayWork()) await atHand.wake(them)
    else if (ours.othersServe()) await needs.wake(them)
    // Else they are due when that is over: the sweep sees what they are owed.
  }
  const wakeFound = async (who: Sleeper) => {
    if (stopping.signal.aborted) return
    await wake([who]).catch((err: unknown) =>
      log.warn(
        { err, destination: who.name },
        'a destination that was found was not woken; its row brings it back',
      ),
    )
  }
  let steadyAt = -Infinity
  const follow: Follow = makeFollow({
    ...shared,
    onAttempt: (at) => {
      steadyAt = clock.monotonic()
      onAttempt(at)
    },
    load: makeLoadApart(pool),
    wake,
    serveOn: (...given) => serve({ ...turning, spare: AT_ONCE }, ...given),
    takeAgain: (...given) => takeAndServe(turning, ...given),
    lingerMs: config.internal.linger_ms,
    most: federation.max_idle_connections,
    mayWork,
    cutting: cutting.signal,
  })
  const turning: TurnNeeds = {
    ...shared,
    follow,
    lease: {
      next: () => (mayWork() ? keeper.next() : Promise.resolve(null)),
      over: (id) => keeper.over(id),
    },
    farLooks: makeGate(FAR_LOOKS),
    firstLooks: makeGate(FIRST_LOOKS),
    find: makeFind({
      ...{ resolveTarget, clock, most: needs.discoveries, isBlocked: blocking.isBlocked },
      wake: (who) => void wakeFound(who),
      onBug: (err) => log.error({ err }, 'server discovery ended with an unforeseen error'),
    }),
    spare: makeSpare({
      clock,
      used: eventLoopUse(),
      pressing: () => clock.monotonic() - steadyAt < STEADY_MS,
    }),
    catchUp: config.catch_up,
    onLapsed: (count) => metrics.stickyLapsed.inc(count),
  }
  const turn: ServeTurn = makeTurn(turning)
  /** One attempt while this process takes no destination; if it is answered, that is over, and the turn goes on. */
  const probe = async (destination: string) => {
    let tried = false
    const once = makeTurn({
      ...turning,
      lease: keeper,
      mayGoOn: () => ours.mayWork() || !tried,
      onAttempt: (at) => {
        tried = true
        onAttempt(at)
      },
    })
    await once(destination, cutting.signal)
  }
  const due = makeDue({
    pool,
    wake,
    turn,
    blocking,
    carryOut: () => carryOutPlanned(pool, Math.ceil((federation.ramp_per_second * DUE_EVERY_MS) / 1_000)),
    releaseAbandoned: makeReleaseAbandoned({ pool, lease: keeper, running, clock, log }),
    forget: (destination) => queues.forget(destination),
    clock,
    everyMs: DUE_EVERY_MS,
    patienceMs: config.sweep_interval_ms,
    waiting: Math.max(LEAST_WAITING, federation.recovering_concurrency),
    rampPerSecond: federation.ramp_per_second,
    cutting: cutting.signal,
    mayWake: () => ours.mayWork(),
    log,
  })
  await keeper.start()
  const workers = startWorkers({
    backend,
    turn,
    fanout: makeFanout({ pool, wake, clock, deadline }),
    concurrency: { delivery: federation.max_concurrency, recovery: federation.recovering_concurrency },
    roles: { deliver: true, fanout: true },
    log,
  })
  const watching = due(AbortSignal.any([stopping.signal, cutting.signal]))
  const following = follow.run()
  const watched = ours.run(AbortSignal.any([stopping.signal, cutting.signal]))
  return {
    nudge: () => follow.nudge(),
    stop: async () => {
      stopping.abort()
      const cut = setTimeout(() => cutting.abort(), timerMs(config.shutdown_grace_ms))
      await Promise.all([
        workers.close(config.shutdown_grace_ms),
        watching,
        following,
        watched,
        atHand.ended(),
      ])
      clearTimeout(cut)
      await keeper.stop()
    },
  }
}
