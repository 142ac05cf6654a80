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
import { withTokens, type Config, type Listener } from '../config/config.ts'
import { complainOfOpenFile } from '../config/exposed.ts'
import { loadSigningKey, readAuthorities, refuseOpenTlsKeys } from '../config/files.ts'
import { closeDataDir } from '../config/folder.ts'
import { makeBlocking } from '../deliver/blocking.ts'
import type { Wake } from '../deliver/wake/fanout.ts'
import { registerAdminRoutes } from '../http/admin/routes.ts'
import { MOST_CONNECTIONS, openHttpServer, type Phase } from '../http/server.ts'
import { descriptorLimit, DISCOVERIES, LOOKUPS, shareDescriptors } from './descriptors.ts'
import { makeAppend } from '../ingest/append.ts'
import { selfTest } from '../matrix/signing.ts'
import { countItems } from '../observe/count-items.ts'
import type { Log } from '../observe/log.ts'
import { makeMetrics, type LookupOutcome } from '../observe/metrics.ts'
import { openStores } from './open-stores.ts'
import { previewNeedsOf } from './preview-needs.ts'
import { makeReadiness } from './readiness.ts'
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
  stop(): Promise<void>
}

/** The configuration as this process' limit of descriptors lets it be kept, and how many connections may come to us. */
function withinDescriptors({ config, roles, log }: DaemonOptions): {
  config: Config
  door: number
  lookups: number
  discoveries: number
} {
  const { federation } = config
  const { max_concurrency, max_idle_connections, recovering_concurrency } = federation
  const wished = {
    ...{ door: MOST_CONNECTIONS, concurrency: max_concurrency, idle: max_idle_connections },
    ...{ lookups: LOOKUPS, discoveries: DISCOVERIES },
  }
  const limit = descriptorLimit()
  const sends = roles.includes('deliver')
  const { door, concurrency, idle, lookups, discoveries } = shareDescriptors(limit, wished, { sends })
  if (roles.includes('deliver') && (concurrency < max_concurrency || idle < max_idle_connections))
    log.warn(
      { limit, max_concurrency: concurrency, max_idle_connections: idle, connections: door },
      'the limit of open files is low, so limpet uses fewer requests and idle connections than configured; raise it (ulimit -n, LimitNOFILE)',
    )
  const fitting = {
    max_concurrency: concurrency,
    max_idle_connections: idle,
    recovering_concurrency: Math.min(recovering_concurrency, concurrency),
  }
  return { config: { ...config, federation: { ...federation, ...fitting } }, door, lookups, discoveries }
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
  const exposed = complainOfOpenFile(options.config.file)
  if (exposed !== null) log.warn(exposed)
  refuseOpenTlsKeys(options.config)
  // Only a process that serves the API needs tokens; another must not generate any.
  const { config: settled, door, lookups, discoveries } = withinDescriptors(options)
  const config = roles.includes('ingest') ? withTokens(settled, randomBytes) : settled
  const key = loadSigningKey(config.signing_key_path)
  if (!selfTest(key))
    throw new Error(`a signature made with the key ${config.signing_key_path} does not verify`)
  const authorities = readAuthorities(config)
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
    const ingesting = roles.includes('ingest')
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
      tokens: config.tokens,
      metricsToken: config.metrics.token,
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
                preview: previewNeedsOf(config, clock),
                vetDomain: blocking.why,
                readBlocks: () => blocking.read(),
                deadAfterMs: config.federation.dead_after_ms,
                rampPerSecond: config.federation.ramp_per_second,
                onGivenUp: (count) => metrics.givenUp.inc({ why: 'operator' }, count),
              })
          : null,
    })
    closers.push(() => http.close({ graceMs: config.shutdown_grace_ms }))

    if (roles.includes('housekeep')) {
      const { startHousekeeping } = await import('./start-housekeeping.ts')
      const housekeeping = startHousekeeping({
        config,
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
        config,
        pool,
        backend,
        queues,
        wake,
        key,
        outbound,
        blocking,
        discoveries,
        mayWork,
        metrics,
        clock,
        random,
        log,
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
    phase = 'running'
    log.info({ roles, addresses: http.addresses, version, server_name: config.server_name }, 'limpet runs')
    return { addresses: http.addresses, done, stop }
  } catch (error) {
    await stop().catch(() => undefined)
    throw error
  }
}
