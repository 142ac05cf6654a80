/**
 * Starts `sources.synapse` in this process: Synapse's database and Redis are its input, and `append` is its output.
 *
 * Of several processes one reads, under a lease in limpet's database; the others stand by.
 */
import { randomUUID } from 'node:crypto'
import { makeFaultLog } from '../../queues/fault-log.ts'
import { makeSubscriber } from '../../queues/subscribe.ts'
import type { Clock } from '../pace/clock.ts'
import { makeNudge } from '../pace/nudge.ts'
import type { Config, SynapseSettings } from '../config/config.ts'
import type { Append } from '../ingest/append.ts'
import { parseItem } from '../ingest/parse-item.ts'
import { makeProgress } from '../ingest/synapse/progress.ts'
import { makeReaderLease } from '../ingest/synapse/reader-lease.ts'
import { severalServers, SynapseRefused } from '../ingest/synapse/refused.ts'
import { makeSynapseSource, SOURCE } from '../ingest/synapse/source.ts'
import { NEW_TIMELINE, type TimelineStore } from '../ingest/synapse/timeline.ts'
import { LONG_STATEMENT_MS, STATEMENT_MS } from '../ingest/synapse/too-slow.ts'
import type { Log } from '../observe/log.ts'
import type { Metrics } from '../observe/metrics.ts'
import { openPool, type Pool } from '../store/db.ts'
import { UnfitDatabaseError } from '../store/fitness.ts'
import { heldAmong, heldBy } from '../store/ingest/held-events.ts'
import { narrowRoom, type ConnectionCount } from '../store/pool-room.ts'
import { hasSeveralServers } from '../store/one-server.ts'
import { refusePooling } from '../store/pooling.ts'
import { sourcePosition } from '../store/ingest/read-back.ts'
import { releaseSource, takeSource } from '../store/ingest/source-leases.ts'
import { readSourceStates, saySourceState } from '../store/ingest/source-states.ts'
import { changeTimeline, readSourceTimeline } from '../store/ingest/source-timelines.ts'
import { dropSources, sourceTokens } from '../store/ingest/source-tokens.ts'
import { drop } from '../store/takes-writes.ts'
import { toldAmong, toldRooms } from '../store/ingest/told-rooms.ts'

export interface SourceNeeds {
  config: Config
  settings: SynapseSettings
  /** limpet's own database. */
  pool: Pool
  append: Append
  metrics: Metrics
  clock: Clock
  log: Log
  /** Told when this Synapse must not be read at all. */
  fail: (error: unknown) => void
}

/**
 * What is opened to Synapse's database: one for the stream, so that all of a look is read from the same server, whatever the
 * address leads to, and one for rooms that are slow to read.
 */
export const SYNAPSE_CONNECTIONS: ConnectionCount = { most: 2, fewest: 1 }
/** How often this process says how the source is doing, ms. */
const SAY_EVERY_MS = 5_000

export function startSynapseSource(needs: SourceNeeds): { stop(): Promise<void> } {
  const { config, settings, pool, append, metrics, clock, log, fail } = needs
  const stopping = new AbortController()
  const onError = makeFaultLog({ log, what: "a connection to Synapse's database was lost" })
  const opened = { url: settings.database, onError, onlyReads: true }
  const synapse = openPool({ ...opened, max: 1, statementMs: STATEMENT_MS })
  let connections = 0
  synapse.on('connect', () => (connections += 1))
  const patient = openPool({ ...opened, max: 1, statementMs: LONG_STATEMENT_MS })
  const slow = new Set<Parameters<typeof drop>[0]>()
  patient.on('connect', (client) => slow.add(client))
  patient.on('remove', (client) => slow.delete(client))
  let progress = makeProgress(clock)
  const news = makeNudge(clock)
  const mine = { source: SOURCE, holder: randomUUID() }
  const lease = makeReaderLease({
    take: (ms) => takeSource(pool, mine, ms),
    release: () => releaseSource(pool, mine),
    onTaken: (another) => {
      // What it saw before it stood by says nothing.
      if (another) progress = makeProgress(clock)
      news.nudge()
    },
    clock,
    log,
  })
  const source = makeSynapseSource({
    pool: synapse,
    serverName: config.server_name,
    append,
    tokenOf: async (name) => (await sourcePosition(pool, name)).sourceToken,
    parseItem: (raw) =>
      parseItem(raw, 0, { serverName: config.server_name, stickyFieldNames: config.sticky.field_names }),
    subscribe: settings.redis === null ? undefined : makeSubscriber({ url: settings.redis, log }),
    held: (eventIds) => heldAmong(pool, eventIds),
    heldBy: (asked) => heldBy(pool, asked),
    skipped: () => metrics.ingestIgnored.inc({ why: 'purged' }),
    purges: {
      told: {
        page: (after, limit) => toldRooms(pool, { after, limit }),
        among: (roomIds) => toldAmong(pool, roomIds),
      },
    },
    behind: {
      tokens: (prefix) => sourceTokens(pool, prefix),
      drop: (prefix, token) => dropSources(pool, { prefix, token }),
      pool: patient,
    },
    lease,
    progress: {
      saw: (head, place) => progress.saw(head, place),
      stored: () => progress.stored(),
      readTo: (at) => progress.readTo(at),
      failed: (error) => progress.failed(error),
      stopped: (why) => progress.stopped(why),
    },
    timeline: timelineIn(pool),
    connections: () => connections,
    clock,
    log,
    mayRead: () => mayRead(settings.database, { clock, log }),
  })
  log.info('sources.synapse: EDUs, take-over and hand-back come in a later release')

  /** Where limpet's own database is away, this process knows of itself only. One that stands by has nothing to say. */
  async function say(stopped: boolean): Promise<void> {
    const report = progress.report()
    let behindMs = lease.held() ? (report.behindMs ?? 0) : 0
    try {
      if (lease.held())
        await saySourceState(pool, {
          source: SOURCE,
          ...report,
          ...(stopped ? { state: 'stopped' as const } : {}),
        })
      const found = (await readSourceStates(pool)).find(({ name }) => name === SOURCE)
      behindMs = found?.behind_ms ?? behindMs
    } catch (error) {
      log.debug({ err: error }, 'could not write down the state of the source')
    }
    metrics.sourceBehind.set({ source: SOURCE }, behindMs / 1000)
  }
  const saying = (async () => {
    while (!stopping.signal.aborted) {
      await say(false)
      await news.wait(SAY_EVERY_MS, stopping.signal)
    }
    await say(true)
  })()
  const keeping = lease.keep(stopping.signal)
  const running = source.run(stopping.signal).catch(async (error: unknown) => {
    await say(true)
    fail(error)
  })
  return {
    stop: async () => {
      stopping.abort()
      // It may have long to go, and is asked again at the next start.
      for (const client of slow) drop(client)
      await running
      await saying
      await keeping
      await lease.release()
      await synapse.end()
      await patient.end()
    },
  }
}

function timelineIn(pool: Pool): TimelineStore {
  return {
    load: async () => ({ ...NEW_TIMELINE, ...(await readSourceTimeline(pool, SOURCE)) }),
    save: (change, continued) =>
      changeTimeline(pool, { source: SOURCE, change, continued, initial: { ...NEW_TIMELINE } }),
  }
}

/**
 * Whether what stands before Synapse's database lets its sessions be ours.
 * @throws SynapseRefused where it does not; else what keeps it from being told now, which may pass
 */
async function mayRead(url: string, { clock, log }: Pick<SourceNeeds, 'clock' | 'log'>): Promise<void> {
  try {
    // No notification: it may be a standby.
    await refusePooling({ url, clock, nonce: null })
  } catch (error) {
    if (error instanceof UnfitDatabaseError && !error.passing)
      throw new SynapseRefused(error.message, { cause: error })
    throw error
  }
  if (await hasSeveralServers(url)) throw severalServers()
  const narrow = await narrowRoom(url, SYNAPSE_CONNECTIONS, "Synapse's database")
  if (narrow !== null) log.warn({ given: narrow.given }, `sources.synapse: ${narrow.complaint}`)
}
