/**
 * Starts housekeeping in this process: the sweep, and the gauges that are made from its counts; and separately the
 * removal of old parts of the log, which may wait for readers and must not hold up a sweep. The passing of time is
 * recorded on a timer of its own, so that a process that is restarted before its second sweep has still seen time.
 */
import type { VetDomain } from '../allow/domains.ts'
import type { Queues } from '../../queues/queues.ts'
import type { Clock } from '../pace/clock.ts'
import { repeat } from '../pace/repeat.ts'
import type { Config } from '../config/config.ts'
import { makeSweep } from '../deliver/wake/sweep.ts'
import type { Log } from '../observe/log.ts'
import type { StateLabel, Metrics, Totals } from '../observe/metrics.ts'
import type { Pool } from '../store/db.ts'
import { forgetOldActs } from '../store/audit.ts'
import { forgetOldSkips } from '../store/delivery/skips.ts'
import { forgetOldAnswers } from '../store/discovery/answers.ts'
import { TOO_OLD } from '../store/upkeep/forget-edus.ts'
import { agesOf, makeRetention } from '../store/upkeep/retention.ts'
import { makeSeenTime } from '../store/upkeep/seen-time.ts'
import { countStates } from '../store/views/count-states.ts'
import { makeOldestSnapshot } from '../store/views/oldest-snapshot.ts'
import { readTotals } from '../store/views/totals.ts'
import { countQuarantine } from '../store/views/quarantine.ts'
import { forgetGivenUp } from '../store/delivery/quarantine-acts.ts'
import { sql } from '../store/statement.ts'

export interface HousekeepingNeeds {
  config: Config
  /** As it is at the moment, for what applies without a restart. */
  configNow: () => Config
  pool: Pool
  queues: Queues
  /** To whom nothing is sent, as of now; null: nobody is blocked. */
  vetDomain: VetDomain | null
  metrics: Metrics
  clock: Clock
  log: Log
  mayWork: () => boolean
}

/** How often the time is noted, ms: what passed between two notes counts only when the second is stored. */
const NOTE_MS = 30_000
/** A process that has not noted the time for this long was stopped, ms. */
const STOPPED_MS = 600_000
/** What a process that stops waits at most to note the time since its last note, ms. */
const LAST_NOTE_MS = 1_000

export function startHousekeeping(needs: HousekeepingNeeds): { stop(): Promise<void> } {
  const { config, configNow, pool, queues, vetDomain, metrics, clock, log } = needs
  const stopping = new AbortController()
  const sweep = makeSweep({
    pool,
    clock,
    nudgeFanout: () => queues.nudgeFanout(),
    vetDomain,
    get backoff() {
      return configNow().federation.backoff
    },
    attemptsMs: config.retention.attempts_ms,
    onLapsed: (count) => metrics.stickyLapsed.inc(count),
    log,
  })
  const oldestSnapshot = makeOldestSnapshot(clock)
  const once = async () => {
    if (!needs.mayWork()) return
    if (!(await sweep())) {
      metrics.clearTotals()
      return
    }
    const oldestSnapshotMs = await oldestSnapshot(pool)
    const gauges = await readGauges(
      pool,
      { vetDomain, deadAfterMs: configNow().federation.dead_after_ms },
      config.metrics.per_destination,
    )
    metrics.setTotals({ ...gauges, oldestSnapshotMs })
    for (const [queue, states] of Object.entries(await queues.counts())) {
      for (const [state, jobs] of Object.entries(states)) metrics.queueJobs.set({ queue, state }, jobs)
    }
  }
  const seen = makeSeenTime({ clock, ...agesOf(config.retention), stoppedMs: STOPPED_MS, log })
  // Null: none has ended since this began.
  let answered: boolean | null = null
  const noteTime = async () => {
    if (!needs.mayWork()) return
    answered = null
    try {
      await seen.note(pool)
      answered = true
    } catch (error) {
      answered = false
      log.debug({ err: error }, 'could not record how much time has passed; trying again')
    }
  }
  const retain = makeRetention({
    pool,
    settings: config.retention,
    seen,
    rest: (ms, signal) => clock.sleep(ms, signal),
    onLapsed: (count) => metrics.stickyLapsed.inc(count),
    onGivenUp: (count) => metrics.givenUp.inc({ why: 'retention' }, count),
    onEdusGivenUp: (count) => metrics.givenUp.inc({ why: TOO_OLD }, count),
    log,
  })
  const retainOnce = async () => {
    if (!needs.mayWork()) return
    try {
      await retain(stopping.signal)
      await forgetOldAnswers(pool)
      await forgetOldActs(pool)
      await forgetOldSkips(pool)
      await forgetGivenUp(pool)
    } catch (error) {
      if (stopping.signal.aborted) return
      log.warn({ err: error }, 'could not remove old parts of the log; trying again')
    }
  }
  const failed = (err: unknown) => log.warn({ err }, 'the sweep failed; it is tried again')
  const every = { clock, everyMs: config.sweep_interval_ms }
  const sweeping = repeat(once, { ...every, failed }, stopping.signal)
  const retaining = repeat(retainOnce, every, stopping.signal)
  const notingTime = repeat(noteTime, { clock, everyMs: NOTE_MS }, stopping.signal)
  return {
    stop: async () => {
      stopping.abort()
      await Promise.all([sweeping, retaining, notingTime])
      if (answered === true) await Promise.race([noteTime(), clock.sleep(LAST_NOTE_MS)])
    },
  }
}

async function readGauges(
  pool: Pool,
  around: { vetDomain: VetDomain | null; deadAfterMs: number },
  perDestination: boolean,
): Promise<Omit<Totals, 'oldestSnapshotMs'>> {
  const totals = await readTotals(pool, 0)
  const destinations: Partial<Record<StateLabel, number>> = await countStates(pool, around)
  const apart = await countQuarantine(pool)
  const ageOf = (since: number | null) => (since === null ? null : Math.max(0, totals.now - since))
  return {
    position: totals.head,
    destinations,
    pendingPdus: totals.pending_pdus,
    oldestPendingMs: ageOf(totals.oldest_pending),
    stickyPending: totals.pending_sticky,
    setAsidePdus: apart.pdus,
    setAsideEdus: apart.edus,
    heldRooms: apart.rooms,
    ...(perDestination ? { perDestination: await readEach(pool, ageOf) } : {}),
  }
}

const BACKLOG_OF_EACH = sql(
  'read the backlog of each',
  'select name, pending_pdus, oldest_pending from destinations where pending_pdus > 0',
)

async function readEach(pool: Pool, ageOf: (since: number | null) => number | null) {
  const { rows } = await pool.query<{ name: string; pending_pdus: number; oldest_pending: number | null }>(
    BACKLOG_OF_EACH,
  )
  return rows.map(({ name, pending_pdus, oldest_pending }) => ({
    destination: name,
    pendingPdus: pending_pdus,
    oldestPendingMs: ageOf(oldest_pending),
  }))
}
