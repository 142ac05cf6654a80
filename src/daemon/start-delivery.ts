/** Starts delivery in this process: the lease, the queue's workers, and the search for due destinations. */
import { hostname } from 'node:os'
import type { Backend } from '../../queues/backend.ts'
import type { Queues } from '../../queues/queues.ts'
import { startWorkers } from '../../queues/workers.ts'
import { timerMs, type Clock, type Random } from '../pace/clock.ts'
import { makeReleaseAbandoned } from '../deliver/wake/abandoned.ts'
import { makeAtHand, type AtHand } from '../deliver/wake/at-hand.ts'
import { makeDue } from '../deliver/wake/due.ts'
import { makeGate } from '../pace/gate.ts'
import { AT_ONCE, eventLoopUse, makeSpare } from '../pace/spare.ts'
import { makeFind } from '../deliver/find.ts'
import { makeFanout, type Wake } from '../deliver/wake/fanout.ts'
import { makeLeaseKeeper } from '../deliver/lease-keeper.ts'
import { makeOwnTrouble, type OwnTrouble } from '../deliver/own-trouble.ts'
import { makeFollow, type Follow, type FollowNeeds } from '../deliver/follow/follow.ts'
import { makeSharedBodies } from '../deliver/shared-bodies.ts'
import { makeLoadApart, makeTogether } from '../deliver/together.ts'
import type { Blocking } from '../deliver/blocking.ts'
import type { ServeTurn } from '../deliver/turned.ts'
import { makeTurn, takeAndServe, type TurnNeeds } from '../deliver/turn.ts'
import { serve } from '../deliver/serve.ts'
import type { ServerName } from '../matrix/ids.ts'
import { countAttempt, type CountedAttempt } from '../observe/count-attempt.ts'
import type { Log } from '../observe/log.ts'
import type { Metrics } from '../observe/metrics.ts'
import type { Pool } from '../store/db.ts'
import { carryOutPlanned } from '../store/delivery/planned-acts.ts'
import type { Sleeper } from '../store/delivery/wake-lists.ts'
import type { Outbound } from './open-outbound.ts'
import { deliverySettings } from './delivery-settings.ts'
import { openPlaces, turnsOf } from './open-places.ts'
import { asking, type Changeable } from './changeable.ts'
import type { DaemonSettings } from './settings.ts'
import { version } from './version.ts'
import { makeRemotes } from '../wire/send.ts'

export interface DeliveryNeeds {
  live: Changeable<DaemonSettings>
  pool: Pool
  backend: Backend
  queues: Queues
  wake: Wake
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
  const { live, pool, backend, queues, blocking, metrics, clock, random, log } = needs
  const { config } = live.now()
  const configNow = () => live.now().config
  const settings = deliverySettings(configNow)
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
    get key() {
      return live.now().key
    },
    origin: config.server_name,
    userAgent: `limpet/${version}`,
    clock,
    log,
    underWay: metrics.transactionsInFlight,
  })
  const { places, resize } = openPlaces(config, { clock, log })
  metrics.watchBodies(() => places.bodies.held())
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
    ...places,
    random,
    clock,
    log,
    ...makeTogether(pool),
    bodyOf: makeSharedBodies({ origin: config.server_name, clock }),
    origin: config.server_name,
    stopping: stopping.signal,
    onAttempt,
    ours,
    mayGoOn: mayWork,
  }
  const atHand: AtHand = makeAtHand({
    wake: needs.wake,
    turn: (...given) => turn(...given),
    isConnected: (destination) => remotes.isConnected(destination as ServerName),
    ...{ stopping: stopping.signal, cutting: cutting.signal, clock, log },
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
  const forFollowers = {
    ...shared,
    onAttempt: (at: CountedAttempt) => {
      steadyAt = clock.monotonic()
      onAttempt(at)
    },
    load: makeLoadApart(pool),
    wake,
    serveOn: (...given: Parameters<FollowNeeds['serveOn']>) => serve(servingOn, ...given),
    takeAgain: (...given: Parameters<FollowNeeds['takeAgain']>) => takeAndServe(turning, ...given),
    lingerMs: config.internal.linger_ms,
    mayWork,
    cutting: cutting.signal,
  }
  const mostFollowed = {
    get most() {
      return configNow().federation.max_idle_connections
    },
  }
  const follow: Follow = makeFollow(asking(forFollowers, settings, mostFollowed))
  const forTurns: Omit<TurnNeeds, keyof typeof settings> = {
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
    onLapsed: (count) => metrics.stickyLapsed.inc(count),
  }
  const turning: TurnNeeds = asking(forTurns, settings)
  const servingOn: TurnNeeds = asking({ ...forTurns, spare: AT_ONCE }, settings)
  const turn: ServeTurn = makeTurn(turning)
  /** One attempt while this process takes no destination; if it is answered, that is over, and the turn goes on. */
  const probe = async (destination: string) => {
    let tried = false
    const forOne: typeof forTurns = {
      ...forTurns,
      lease: keeper,
      mayGoOn: () => ours.mayWork() || !tried,
      onAttempt: (at) => {
        tried = true
        onAttempt(at)
      },
    }
    const once = makeTurn(asking(forOne, settings))
    await once(destination, cutting.signal)
  }
  const due = makeDue({
    pool,
    wake,
    turn,
    blocking,
    carryOut: () =>
      carryOutPlanned(pool, Math.ceil((configNow().federation.ramp_per_second * DUE_EVERY_MS) / 1_000)),
    releaseAbandoned: makeReleaseAbandoned({ pool, lease: keeper, running, clock, log }),
    forget: (destination) => queues.forget(destination),
    clock,
    everyMs: DUE_EVERY_MS,
    patienceMs: config.sweep_interval_ms,
    get waiting() {
      return Math.max(LEAST_WAITING, configNow().federation.recovering_concurrency)
    },
    get rampPerSecond() {
      return configNow().federation.ramp_per_second
    },
    cutting: cutting.signal,
    mayWake: () => ours.mayWork(),
    log,
  })
  await keeper.start()
  const workers = startWorkers({
    backend,
    turn,
    fanout: makeFanout({ pool, wake, clock, deadline: settings.deadline }),
    concurrency: turnsOf(config),
    roles: { deliver: true, fanout: true },
    log,
  })
  let causes = causesOf(live.now())
  live.onChange((now) => {
    if (causesOf(now) !== causes) ours.causeChanged()
    causes = causesOf(now)
    resize(now.config)
    workers.resize(turnsOf(now.config))
  })
  const watching = due(AbortSignal.any([stopping.signal, cutting.signal]))
  const following = follow.run()
  const watched = ours.run(AbortSignal.any([stopping.signal, cutting.signal]))
  return {
    nudge: () => follow.nudge(),
    stop: async () => {
      stopping.abort()
      const graceMs = configNow().shutdown_grace_ms
      const cut = setTimeout(() => cutting.abort(), timerMs(graceMs))
      await Promise.all([workers.close(graceMs), watching, following, watched, atHand.ended()])
      clearTimeout(cut)
      await keeper.stop()
    },
  }
}

/** What every destination may answer 401 for, or refuse to be reached: it is compared. */
const causesOf = ({ key, authorities }: DaemonSettings): string =>
  [key.keyId, key.publicKey, ...authorities].join('\n')
