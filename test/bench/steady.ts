/**
 * Steady traffic to warm destinations, by a daemon with all roles: how many transactions at most, and how
 * soon one event is there when little happens.
 */
import { systemClock } from '../../src/clock.ts'
import type { Pool } from '../../src/store/db.ts'
import { until } from '../support/poll.ts'
import { machineMs } from './child.ts'
import { startDaemon, type Daemon } from './daemon.ts'
import { makeEvents, type BenchEvent } from './events.ts'
import type { Fleet } from './fleet.ts'
import type { Setting } from './setting.ts'
import { dearestStatements, resetStatements } from './statements.ts'
import { inWindow, PDUS_A_TRANSACTION, type Window } from './window.ts'

export interface Steady {
  window: Window
  /** How many of the transactions one turn (one job) sends. */
  transactionsPerTurn: number
  latency: { median: number; p99: number; worst: number }
}

export interface SteadyOptions {
  queue: string
  database: string
  windowMs: number
  profile?: string | undefined
  /** Told which statements cost what: under saturation, then at the modest rate. */
  statements?: ((text: string) => void) | null
}

const ROOMS = 50
const SERVERS_A_ROOM = 50
/** PDUs that wait for each destination while it is saturated: the next transaction or two. */
const DEEP = 2 * PDUS_A_TRANSACTION
const WARM_UP_MS = 5_000
const REQUESTS_PER_SECOND = 200

export async function measureSteady(setting: Setting, fleet: Fleet, options: SteadyOptions): Promise<Steady> {
  const { url, pool } = await setting.database(options.database)
  const daemon = await startDaemon(setting, {
    databaseUrl: url,
    queue: options.queue,
    roles: 'ingest,deliver,housekeep',
    federation: { max_pdus: PDUS_A_TRANSACTION },
    profile: options.profile,
  })
  try {
    await openRooms(daemon, fleet)
    await meetAll(setting, daemon, fleet, pool)
    const traffic = saturate(setting, daemon, fleet)
    await systemClock.sleep(WARM_UP_MS)
    if (options.statements) await resetStatements(pool)
    const before = await turnsAndAttempts(pool)
    const pids = { limpet: daemon.pid, postgres: setting.postgres.pid() }
    const window = await inWindow(fleet, options.windowMs, pids)
    const after = await turnsAndAttempts(pool)
    options.statements?.(await dearestStatements(pool))
    await traffic.stop()
    await quiet(pool)
    if (options.statements) await resetStatements(pool)
    const latency = await measureLatency(setting, daemon, fleet)
    options.statements?.(await dearestStatements(pool))
    const transactionsPerTurn = (after.attempts - before.attempts) / (after.turns - before.turns)
    return { window, transactionsPerTurn, latency }
  } finally {
    await daemon.stop()
    await pool.end()
  }
}

const sharedRoom = (room: number) => `!shared${room}:home.example`
const soloRoom = (destination: number) => `!solo${destination}:home.example`

async function openRooms(daemon: Daemon, { names }: Fleet): Promise<void> {
  const item = (room_id: string, set: string[]) => JSON.stringify({ type: 'servers', room_id, set })
  const step = names.length / ROOMS
  const shared = Array.from({ length: ROOMS }, (_, room) => {
    const servers = Array.from(
      { length: SERVERS_A_ROOM },
      (_, i) => names[(room * step + i) % names.length] ?? '',
    )
    return item(sharedRoom(room), servers)
  })
  await daemon.ingest(shared)
  await daemon.ingest(names.map((name, index) => item(soloRoom(index), [name])))
}

/** One event for each: after its answer a destination is connected, and known to answer well. */
async function meetAll({ key }: Setting, daemon: Daemon, fleet: Fleet, pool: Pool): Promise<void> {
  const event = makeEvents(key)
  const { pdus: start } = await fleet.counts()
  await daemon.ingest(fleet.names.map((_, index) => event(soloRoom(index)).item))
  await until(async () => (await fleet.counts()).pdus - start === fleet.names.length, {
    what: 'every destination to have its first event',
    withinMs: 60_000,
    everyMs: 100,
  })
  await quiet(pool)
}

/** Keeps every destination's backlog at a transaction or two, by requests that hold one transaction for each. */
function saturate({ key }: Setting, daemon: Daemon, fleet: Fleet): { stop(): Promise<void> } {
  const event = makeEvents(key)
  const { names } = fleet
  let stopped = false
  let turn = 0
  const step = (SERVERS_A_ROOM * ROOMS) / names.length
  const next = () => {
    // Every fifth room: together they hold every destination once.
    const rooms = Array.from({ length: ROOMS }, (_, room) => room).filter(
      (room) => room % step === turn % step,
    )
    turn += 1
    return rooms.flatMap((room) =>
      Array.from({ length: PDUS_A_TRANSACTION }, () => event(sharedRoom(room)).item),
    )
  }
  const work = async () => {
    const { pdus: start } = await fleet.counts()
    for (let sent = 0; !stopped;) {
      const { pdus } = await fleet.counts()
      if (sent - (pdus - start) <= (DEEP - PDUS_A_TRANSACTION) * names.length) {
        await daemon.ingest(next())
        sent += PDUS_A_TRANSACTION * names.length
      } else await systemClock.sleep(10)
    }
  }
  const working = work()
  working.catch(() => undefined)
  return {
    stop: async () => {
      stopped = true
      await working
    },
  }
}

async function turnsAndAttempts(pool: Pool): Promise<{ turns: number; attempts: number }> {
  const { rows } = await pool.query<{ turns: number; attempts: number }>(
    'select sum(fence)::bigint as turns, sum(attempt_seq)::bigint as attempts from destinations',
  )
  return rows[0] ?? { turns: 0, attempts: 0 }
}

/** Resolves when nobody has been served for half a second. */
async function quiet(pool: Pool): Promise<void> {
  const busy = 'select from destinations where lease_owner is not null limit 1'
  let seen = 0
  await until(async () => (seen = (await pool.query(busy)).rowCount === 0 ? seen + 1 : 0) === 5, {
    what: 'every turn to end',
    withinMs: 60_000,
    everyMs: 100,
  })
}

const LATENCY_MS = 10_000

/** 200 requests a second of one event for one destination, that has nothing else to do at that moment. */
async function measureLatency({ key }: Setting, daemon: Daemon, fleet: Fleet): Promise<Steady['latency']> {
  const event = makeEvents(key)
  const answeredAt = new Map<number, number>()
  const requests: Promise<void>[] = []
  const send = async ({ n, item }: BenchEvent) => {
    await daemon.ingest([item])
    answeredAt.set(n, machineMs())
  }
  await fleet.record(true)
  const start = performance.now()
  for (let i = 0; i < (LATENCY_MS / 1000) * REQUESTS_PER_SECOND; i += 1) {
    const wait = start + (i * 1000) / REQUESTS_PER_SECOND - performance.now()
    if (wait > 0) await systemClock.sleep(wait)
    requests.push(send(event(soloRoom(i % fleet.names.length))))
  }
  await Promise.all(requests)
  const arrivals = await until(
    async () => {
      const seen = await fleet.arrivals()
      return seen.size === answeredAt.size && seen
    },
    { what: 'every event to arrive', withinMs: 20_000, everyMs: 200 },
  )
  await fleet.record(false)
  const waits = [...answeredAt].map(([n, at]) => Math.max(0, (arrivals.get(n) ?? Infinity) - at))
  waits.sort((a, b) => a - b)
  const at = (share: number) => waits[Math.min(waits.length - 1, Math.floor(waits.length * share))] ?? NaN
  return { median: at(0.5), p99: at(0.99), worst: at(1) }
}
