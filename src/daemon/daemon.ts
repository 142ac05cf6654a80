/**
 * The composition root: it opens the parts, joins them, starts them, and closes them in reverse order.
 *
 * Promise: when `startDaemon` returns, the daemon serves what its roles say. `stop` takes no new work, lets requests
 * in flight end (at most `shutdown_grace_ms`), and loses nothing. SIGKILL loses nothing either.
 *
 * A process loads everything that its roles need before it runs: later the files on disk may be those of another
 * release.
 */
import { randomBytes } from 'node:crypto'
import { statSync } from 'node:fs'
import { openQueues } from '../../queues/queues.ts'
import { vetDomainOf } from '../allow/domains.ts'
import { systemClock } from '../pace/clock.ts'
import type { Config, Listener } from '../config/config.ts'
import { closeDataDir } from '../config/folder.ts'
import { makeBlocking } from '../deliver/blocking.ts'
import type { Wake } from '../deliver/wake/fanout.ts'
import { registerAdminRoutes } from '../http/admin/routes.ts'
import { openHttpServer, type Phase } from '../http/server.ts'
import { makeAppend } from '../ingest/append.ts'
import { countItems } from '../observe/count-items.ts'
import type { Log } from '../observe/log.ts'
import { makeMetrics, type LookupOutcome } from '../observe/metrics.ts'
import { makeChangeable } from './changeable.ts'
import { openStores } from './open-stores.ts'
import { previewNeedsOf } from './preview-needs.ts'
import { makeReadiness } from './readiness.ts'
import { makeReload, type Reload } from './reload.ts'
import { readSettings, type DaemonSettings } from './settings.ts'
import type { Network, Outbound, OutboundNeeds } from './open-outbound.ts'
import type { Delivery } from './start-delivery.ts'
import { checkSchema } from '../store/migrate.ts'
import { version } from './version.ts'

export type Role = 'ingest' | 'deliver' | 'housekeep'

export interface DaemonOptions {
  config: Config
  roles: readonly Role[]
  /** Where this process listens. */
  listen: readonly Listener[]
  log: Log
  /** Log lines that standard output did not take, since the start. */
  linesLost?: () => number
  /** Default: the public one. */
  network?: Network
}

export interface Daemon {
  /** Where it listens: `http://127.0.0.1:8469`, or a socket's path. */
  addresses: readonly string[]
  /** Rejects when the daemon can't go on by itself. */
  done: Promise<void>
  /** Reads the configuration again, and applies what can be applied while it runs (`reload.ts`). */
  reload: Reload
  stop(): Promise<void>
}

/** Sending needs it, and the admin API shows what it finds. */
async function open(
  { network, log }: DaemonOptions,
  needs: Pick<OutboundNeeds, 'config' | 'blocking' | 'pool' | 'authorities' | 'lookups' | 'onLookup'>,
): Promise<Outbound> {
  const { openOutbound, PUBLIC_NETWORK } = await import('./open-outbound.ts')
  return openOutbound({
    ...needs,
    network: network ?? PUBLIC_NETWORK,
    clock: systemClock,
    random: Math.random,
    log,
  })
}

/** How often a running process looks whether the schema is still its own, ms. */
const LOOK_EVERY_MS = 5_000

export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const { roles, log } = options
  // First: what is written there later should belong to no other user.
  const { data_dir } = options.config
  const closed =
    statSync(data_dir, { throwIfNoEntry: false })?.isDirectory() === true ? closeDataDir(data_dir) : null
  if (closed !== null) log.warn(closed)
  const ingesting = roles.includes('ingest')
  const reading = { serves: ingesting, sends: roles.includes('deliver'), log, randomBytes }
  const live = makeChangeable(readSettings(options.config, reading))
  const { config, authorities, door, lookups, discoveries } = live.now()
  const configNow = () => live.now().config
  const clock = systemClock
  const random = Math.random
  const metrics = makeMetrics({
    perDestination: config.metrics.per_destination,
    ...(options.linesLost === undefined ? {} : { linesLost: options.linesLost }),
  })
  const closers: (() => Promise<void>)[] = []
  let phase: Phase = 'starting'
  let complaint: string | null = null
  let fail: (error: unknown) => void = () => undefined
  const done = new Promise<void>((_resolve, reject) => {
    fail = reject
  })
  // A caller that does not listen must not be ended by it.
  done.catch(() => undefined)
  const stop = async () => {
    phase = 'stopping'
    // Whatever one of them meets, those after it are closed too: the database that is ours to stop is the last.
    for (const closer of closers.splice(0).reverse())
      await closer().catch((error: unknown) =>
        log.warn({ err: error }, 'a part of limpet did not stop cleanly'),
      )
  }
  try {
    const stores = await openStores({ config, log, migrating: config.auto_migrate })
    closers.push(() => stores.close())
    const { pool, backend } = stores
    const queues = openQueues({ backend, log })
    closers.push(() => queues.close())
    const wake: Wake = (sleepers) =>
      queues.wake(
        sleepers.map(({ name, quick }) => ({ destination: name, queue: quick ? 'delivery' : 'recovery' })),
      )

    const watching = setInterval(() => {
      metrics.dbConnections.set({ state: 'used' }, pool.totalCount - pool.idleCount)
      metrics.dbConnections.set({ state: 'idle' }, pool.idleCount)
      checkSchema(pool).then(
        (found) => {
          if (found !== null && complaint === null) log.error(`${found}; this process takes no more work`)
          complaint = found
        },
        () => undefined,
      )
    }, LOOK_EVERY_MS)
    closers.push(() => {
      clearInterval(watching)
      return Promise.resolve()
    })

    const blocking = makeBlocking({ pool, configured: vetDomainOf(config.federation), clock, log })
    // Before anything may be sent.
    await blocking.read()
    const asking = new AbortController()
    const polling = blocking.run(asking.signal)
    closers.push(() => {
      asking.abort()
      return polling
    })

    const reachable = makeReadiness({ pool, queues })
    const onLookup = (outcome: LookupOutcome) => metrics.discoveryLookups.inc({ outcome })
    const outbound =
      ingesting || roles.includes('deliver')
        ? await open(options, { config, blocking, pool, authorities, lookups, onLookup })
        : null
    if (outbound !== null) closers.push(() => outbound.close())
    let delivering: Delivery | null = null
    const nudge = () => {
      delivering?.nudge()
      void queues.nudgeFanout().catch(() => undefined)
    }
    const append = makeAppend({
      pool,
      serverName: config.server_name,
      maxStickyMs: config.sticky.max_duration_ms,
      random,
      onTaken: nudge,
      onItems: (counts) => countItems(metrics, counts),
    })
    const http = await openHttpServer({
      listeners: options.listen,
      mostConnections: door,
      tokens: () => configNow().tokens,
      metricsToken: () => configNow().metrics.token,
      metrics,
      log,
      phase: () => phase,
      unfit: () => complaint,
      readiness: async () => {
        if (complaint !== null) return { ready: false, why: complaint }
        return phase === 'running' ? reachable() : { ready: false, why: `limpet is ${phase}` }
      },
      ingest: ingesting
        ? { serverName: config.server_name, stickyFieldNames: config.sticky.field_names, append, db: pool }
        : null,
      admin:
        outbound !== null && ingesting
          ? (app) =>
              registerAdminRoutes(app, {
                pool,
                serverName: config.server_name,
                version,
                wake: (targets) => queues.wake(targets),
                discover: outbound.report,
                preview: previewNeedsOf(configNow, clock),
                vetDomain: blocking.why,
                readBlocks: () => blocking.read(),
                get deadAfterMs() {
                  return configNow().federation.dead_after_ms
                },
                get rampPerSecond() {
                  return configNow().federation.ramp_per_second
                },
                onGivenUp: (count) => metrics.givenUp.inc({ why: 'operator' }, count),
              })
          : null,
    })
    closers.push(() => http.close({ graceMs: configNow().shutdown_grace_ms }))

    if (roles.includes('housekeep')) {
      const { startHousekeeping } = await import('./start-housekeeping.ts')
      const housekeeping = startHousekeeping({
        ...{ config, configNow },
        pool,
        queues,
        vetDomain: blocking.why,
        metrics,
        clock,
        log,
        mayWork: () => complaint === null,
      })
      closers.push(() => housekeeping.stop())
    }
    if (outbound !== null && roles.includes('deliver')) {
      const mayWork = () => complaint === null
      const { startDelivery } = await import('./start-delivery.ts')
      const delivery = await startDelivery({
        ...{ live, pool, backend, queues, wake, outbound, blocking, discoveries, mayWork },
        ...{ metrics, clock, random, log },
      })
      closers.push(() => delivery.stop())
      delivering = delivery
    }
    if (ingesting && config.sources.synapse !== null) {
      const { startSynapseSource } = await import('./start-synapse-source.ts')
      const source = startSynapseSource({
        config,
        settings: config.sources.synapse,
        pool,
        append,
        metrics,
        clock,
        log,
        fail,
      })
      closers.push(() => source.stop())
    }
    const apply = (next: DaemonSettings) => {
      // What may fail goes first.
      const configured = vetDomainOf(next.config.federation)
      outbound?.renew(next)
      live.change(next)
      blocking.configure(configured)
    }
    phase = 'running'
    log.info({ roles, addresses: http.addresses, version, server_name: config.server_name }, 'limpet runs')
    return { addresses: http.addresses, done, stop, reload: makeReload({ ...reading, live, apply }) }
  } catch (error) {
    await stop().catch(() => undefined)
    throw error
  }
}
