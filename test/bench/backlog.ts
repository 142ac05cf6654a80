/**
 * How much memory does the daemon hold with 10,000 destinations, 300,000 memberships and a backlog of 100,000 or a
 * million events, of which nobody has got anything? 500 answer and catch up, the others refuse every connection; the
 * sweep counts, new events come in for everybody.
 */
import { systemClock } from '../../src/clock.ts'
import type { Pool } from '../../src/store/db.ts'
import { until } from '../support/poll.ts'
import { startDaemon } from './daemon.ts'
import { makeEvents } from './events.ts'
import type { Fleet } from './fleet.ts'
import { loadKnown } from './known.ts'
import { resident, type Resident } from './resident.ts'
import type { Setting } from './setting.ts'
import { dearestStatements, resetStatements } from './statements.ts'

export interface Backlog {
  events: number
  memberships: number
  destinations: number
  /** Those that caught up, and how long it took, s. */
  caughtUp: number
  seconds: number
  /** Transactions that were answered meanwhile, and attempts that failed. */
  answered: number
  failed: number
  /** At the end, and the most since the daemon began. */
  resident: Resident | null
}

export interface BacklogOptions {
  queue: string
  database: string
  events: number
  profile?: string | undefined
  statements?: ((text: string) => void) | null
}

const DESTINATIONS = 10_000
const STATE = { rooms: 3_000, serversPerRoom: 100 }
/** It goes on for at least so long: two sweeps, and the first few waits of those that are away. */
const LEAST_MS = 45_000
const EVENTS_PER_SECOND = 100

export async function measureBacklog(
  setting: Setting,
  fleet: Fleet,
  options: BacklogOptions,
): Promise<Backlog> {
  const { queue, profile, events } = options
  const { url, pool } = await setting.database(options.database)
  // Ports on which nobody listens; each on an address of its own.
  const away = Array.from(
    { length: DESTINATIONS - fleet.names.length },
    (_, i) => `127.1.${Math.floor(i / 250)}.${1 + (i % 250)}:9`,
  )
  const names = [...fleet.names, ...away]
  await loadKnown(pool, setting.key, { ...STATE, names, events, behind: 'all' })
  const daemon = await startDaemon(setting, {
    databaseUrl: url,
    queue,
    roles: 'ingest,deliver,housekeep',
    profile,
  })
  try {
    if (options.statements) await resetStatements(pool)
    const began = performance.now()
    const stopping = new AbortController()
    const producing = produce(setting, daemon, stopping.signal)
    await caughtUp(pool, fleet.names)
    const seconds = (performance.now() - began) / 1000
    await systemClock.sleep(Math.max(0, LEAST_MS - (performance.now() - began)))
    const memory = resident(daemon.pid)
    options.statements?.(await dearestStatements(pool))
    stopping.abort()
    await producing
    const outcomes = await attempts(pool)
    const memberships = STATE.rooms * STATE.serversPerRoom
    const caught = fleet.names.length
    return {
      events,
      memberships,
      destinations: DESTINATIONS,
      caughtUp: caught,
      seconds,
      ...outcomes,
      resident: memory,
    }
  } finally {
    await daemon.stop()
    await pool.end()
  }
}

/** New events for rooms in turn, once a second. */
async function produce(
  { key }: Setting,
  daemon: Awaited<ReturnType<typeof startDaemon>>,
  signal: AbortSignal,
): Promise<void> {
  const event = makeEvents(key)
  for (let n = 0; !signal.aborted; n += EVENTS_PER_SECOND) {
    const items = Array.from(
      { length: EVENTS_PER_SECOND },
      (_, i) => event(`!known${1 + ((n + i) % STATE.rooms)}:home.example`).item,
    )
    await daemon.ingest(items)
    await systemClock.sleep(1_000, signal)
  }
}

/** Resolves when all of them are past the backlog that was there at the start. */
async function caughtUp(pool: Pool, names: readonly string[]): Promise<void> {
  const { rows } = await pool.query<{ head: number }>('select head from stream')
  const left = 'select count(*) as left from destinations where name = any($1) and position < $2'
  await until(
    async () => (await pool.query<{ left: number }>(left, [names, rows[0]?.head ?? 0])).rows[0]?.left === 0,
    { what: `${names.length} destinations to catch up`, withinMs: 240_000, everyMs: 500 },
  )
}

async function attempts(pool: Pool): Promise<{ answered: number; failed: number }> {
  const { rows } = await pool.query<{ answered: number; failed: number }>(
    `select count(*) filter (where outcome = 'answered') as answered, count(*) filter (where outcome <> 'answered') as failed
       from attempts`,
  )
  return rows[0] ?? { answered: 0, failed: 0 }
}
