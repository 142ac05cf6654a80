/**
 * How much memory does the daemon hold with 10,000 destinations, 300,000 memberships and a backlog of 100,000 or a
 * million events, of which nobody has got anything? 500 answer, as they did before, and catch up; the others never answered, and
 * refuse every connection. The sweep counts, new events come in for everybody.
 */
import { systemClock } from '../../src/pace/clock.ts'
import type { Pool } from '../../src/store/db.ts'
import { startDaemon } from './daemon.ts'
import { makeEvents } from './events.ts'
import type { Fleet } from './fleet.ts'
import { loadKnown } from './known.ts'
import { resident, type Resident } from './resident.ts'
import type { Setting } from './setting.ts'
import { ASIDE, dearestStatements, resetStatements } from './statements.ts'
import { beginWindow, type Window } from './window.ts'

export interface Backlog {
  events: number
  memberships: number
  destinations: number
  /** Those that answer, how many of them caught up, and how long it took them, s. */
  answering: number
  caughtUp: number
  seconds: number
  /** Transactions that were answered meanwhile, and attempts that failed. */
  answered: number
  failed: number
  /** All the time, by the transactions that arrived. */
  window: Window
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
/** It goes on for so long: two or three sweeps, and the first few waits of those that are away. */
const LASTS_MS = 60_000
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
  await loadKnown(pool, setting.key, { ...STATE, names, events, behind: 'all', alive: fleet.names })
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
    const end = await beginWindow({
      fleet,
      pids: { limpet: daemon.pid, postgres: setting.postgres.pid() },
      pool,
    })
    const producing = produce(setting, daemon, stopping.signal)
    const { caughtUp, seconds } = await watch(pool, fleet.names, began)
    const window = await end()
    const memory = resident(daemon.pid)
    options.statements?.(await dearestStatements(pool))
    stopping.abort()
    await producing
    const outcomes = await attempts(pool)
    const memberships = STATE.rooms * STATE.serversPerRoom
    const counted = { events, memberships, destinations: DESTINATIONS, answering: fleet.names.length }
    return { ...counted, caughtUp, seconds, ...outcomes, window, resident: memory }
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

/** For as long as it lasts: how many of them got past the backlog that was there at the start, and when the last did. */
async function watch(
  pool: Pool,
  names: readonly string[],
  began: number,
): Promise<{ caughtUp: number; seconds: number }> {
  const { rows } = await pool.query<{ head: number }>('select head from stream')
  const through = `select ${ASIDE} count(*) as through from destinations where name = any($1) and position >= $2`
  const given = [names, rows[0]?.head ?? 0]
  let caughtUp = 0
  let seconds = 0
  while (performance.now() - began < LASTS_MS) {
    const now = (await pool.query<{ through: number }>(through, given)).rows[0]?.through ?? 0
    if (now > caughtUp) seconds = (performance.now() - began) / 1000
    caughtUp = now
    await systemClock.sleep(500)
  }
  return { caughtUp, seconds }
}

async function attempts(pool: Pool): Promise<{ answered: number; failed: number }> {
  const { rows } = await pool.query<{ answered: number; failed: number }>(
    `select count(*) filter (where outcome = 'answered') as answered, count(*) filter (where outcome <> 'answered') as failed
       from attempts`,
  )
  return rows[0] ?? { answered: 0, failed: 0 }
}
