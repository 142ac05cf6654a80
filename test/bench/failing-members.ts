/**
 * Does a new sticky event in a room with 2,500 failing servers make ingest slow? Each of them is backing off, and the event brings its next
 * attempt forward (contract 5.8). Requests of one event, 100 a second, for a destination that answers; and every few seconds beside them a
 * sticky event for the 2,500. What is measured is how long each request takes until its 200.
 */
import { systemClock } from '../../src/pace/clock.ts'
import { until } from '../support/poll.ts'
import { startDaemon, type Daemon } from './daemon.ts'
import { makeEvents } from './events.ts'
import type { Fleet } from './fleet.ts'
import type { Setting } from './setting.ts'
import { ASIDE } from './statements.ts'
import { meetAll, openRooms, soloRoom, type Scene } from './traffic.ts'

/** All in ms. */
export interface Answered {
  median: number
  p99: number
  worst: number
}

export interface FailingMembers {
  members: number
  /** How many sticky events there were. */
  stickies: number
  without: Answered
  with: Answered
  /** Of the requests that brought a sticky event. */
  worstSticky: number
  /** Attempts of the failing that were made meanwhile. */
  tries: number
}

const MEMBERS = 2_500
const REQUESTS_PER_SECOND = 100
const WARM_UP_MS = 3_000
/** Nobody listens there. */
const CLOSED_PORT = 9
const EVERY_MS = 2_500
const STICKY_MS = 300_000
const ROOM = '!failing:home.example'

export async function measureFailingMembers(
  setting: Setting,
  fleet: Fleet,
  {
    queue,
    database,
    windowMs,
    profile,
  }: { queue: string; database: string; windowMs: number; profile?: string | undefined },
): Promise<FailingMembers> {
  const { url, pool } = await setting.database(database)
  const daemon = await startDaemon(setting, {
    databaseUrl: url,
    queue,
    roles: 'ingest,deliver,housekeep',
    profile,
  })
  try {
    const scene: Scene = { key: setting.key, daemon, fleet, names: fleet.names, pool }
    await openRooms(scene)
    await meetAll(scene)
    const set = Array.from(
      { length: MEMBERS },
      (_, i) => `127.4.${Math.floor(i / 250)}.${1 + (i % 250)}:${CLOSED_PORT}`,
    )
    await daemon.ingest([JSON.stringify({ type: 'servers', room_id: ROOM, set })])
    await pool.query(FAILING)
    await pool.query('vacuum analyze')
    const event = makeEvents(setting.key)
    const light = (i: number) => event(soloRoom(i % fleet.names.length)).item
    await answers(daemon, light, WARM_UP_MS)
    const without = await answers(daemon, light, windowMs)
    const before = await tried()
    const done = { over: false }
    const sticky: number[] = []
    const beside = (async () => {
      while (!done.over) {
        sticky.push(await timed(daemon, event(ROOM, { stickyMs: STICKY_MS }).item))
        await systemClock.sleep(EVERY_MS)
      }
    })()
    const withThem = await answers(daemon, light, windowMs).finally(() => (done.over = true))
    await beside
    await until(async () => (await tried()) > before, {
      what: 'a failing member to be tried',
      withinMs: 200_000,
    })
    const tries = (await tried()) - before
    return {
      members: MEMBERS,
      stickies: sticky.length,
      without,
      with: withThem,
      worstSticky: Math.max(...sticky),
      tries,
    }
  } finally {
    await daemon.stop()
    await pool.end()
  }

  async function tried(): Promise<number> {
    const { rows } = await pool.query<{ tries: string }>(TRIED)
    return Number(rows[0]?.tries ?? 0)
  }
}

async function timed(daemon: Daemon, item: string): Promise<number> {
  const began = performance.now()
  await daemon.ingest([item])
  return performance.now() - began
}

async function answers(daemon: Daemon, itemOf: (i: number) => string, forMs: number): Promise<Answered> {
  const start = performance.now()
  const requests: Promise<number>[] = []
  for (let i = 0; (i * 1000) / REQUESTS_PER_SECOND < forMs; i += 1) {
    const wait = start + (i * 1000) / REQUESTS_PER_SECOND - performance.now()
    if (wait > 0) await systemClock.sleep(wait)
    requests.push(timed(daemon, itemOf(i)))
  }
  const took = (await Promise.all(requests)).sort((a, b) => a - b)
  const at = (share: number) => took[Math.min(took.length - 1, Math.floor(took.length * share))] ?? NaN
  return { median: at(0.5), p99: at(0.99), worst: at(1) }
}

// They have failed for ten minutes, and wait for ten more.
const FAILING = `
  update destinations set failures = 8, failing_since = now_ms() - 600000, retry_at = now_ms() + 600000, retry_interval = 600000,
         last_success = now_ms() - 700000, look_at = now_ms() + 600000
   where starts_with(name, '127.4.')`

const TRIED = `
  select ${ASIDE} coalesce(sum(cardinality(deadline_tries)), 0) as tries from destinations where starts_with(name, '127.4.')`
