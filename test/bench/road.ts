/**
 * Does trouble on the way to some destinations delay those to which the way is clear? 500 plain names, none of them connected, nothing
 * remembered of any: 100 healthy, 200 with silent DNS, 100 whose port for `.well-known` is a black hole, 100 whose IPv6 address is one
 * (`road-names.ts`). One event goes to the 100 alone, then one to all 500, each in a daemon that has just started. What is
 * compared is how soon the event is at the 100.
 *
 * Twice: all have answered until now (`known`), or nobody ever has (`new`). And how often is each name asked for?
 */
import type { Pool } from '../../src/store/db.ts'
import { startBlackHoles } from '../support/black-hole.ts'
import { until } from '../support/poll.ts'
import { quietPort } from '../support/port.ts'
import { machineMs, startChild, type Child } from './child.ts'
import { startDaemon } from './daemon.ts'
import { watchDials } from './dialled.ts'
import { makeEvents, type BenchEvent } from './events.ts'
import { holeOf, ROAD_KINDS, roadHoles, roadKind, roadNames, type RoadKind } from './road-names.ts'
import type { RoadServers } from './road-servers.ts'
import type { Setting } from './setting.ts'
import { ASIDE } from './statements.ts'
import { quiet } from './traffic.ts'

export type Past = 'known' | 'new'

/** From the 200 of ingest until the event was at the healthy, ms. */
export interface RoadTimes {
  median: number
  last: number
}

export interface RoadRound {
  alone: RoadTimes
  beside: RoadTimes
}

/** Of the names of one kind, in one round to its end. */
export interface Asked {
  most: number
  mean: number
}

export interface Road {
  healthy: number
  others: number
  rounds: Record<Past, RoadRound[]>
  /** DNS questions a name. */
  questions: Record<Past, Record<RoadKind, Asked>>
  /** Dials of a port for `.well-known` at which nothing answers, a name. */
  dials: Record<Past, Asked>
}

export interface RoadOptions {
  queue: string
  database: string
  healthy: number
  rounds: number
  profile?: string | undefined
  say: (what: string) => void
}

const ROOMS = { alone: '!alone:home.example', beside: '!beside:home.example' } as const
/** Until the last of the others has failed or got its event. */
const WHOLE_ROUND_MS = 120_000

interface Stage {
  setting: Setting
  options: RoadOptions
  url: string
  pool: Pool
  names: readonly string[]
  ports: { https: number; matrix: number; dns: number }
  resolving: Child
  serving: Child
  event: (room: string) => BenchEvent
}

export async function measureRoad(setting: Setting, options: RoadOptions): Promise<Road> {
  const { healthy, rounds: count } = options
  const { url, pool } = await setting.database(options.database)
  const ports = { https: await quietPort(), matrix: await quietPort() }
  const names = roadNames(healthy)
  const servers = setting.built('test/bench/road-servers.ts')
  const [resolving, serving] = [startChild(servers), startChild(servers)]
  const given: RoadServers = { names, ports, tls: setting.tls }
  const dns = await resolving.ask<number>('dns', given)
  await serving.ask('servers', given)
  const holes = await startBlackHoles(roadHoles(names, ports))
  const event = makeEvents(setting.key)
  const stage: Stage = {
    ...{ setting, options, url, pool, names, ports: { ...ports, dns }, resolving, serving, event },
  }
  try {
    await openTheRooms(stage)
    const rounds: Road['rounds'] = { known: [], new: [] }
    const asked: Partial<Record<Past, Awaited<ReturnType<typeof oneRound>>>> = {}
    for (let i = 0; i < count; i += 1) {
      for (const past of ['known', 'new'] as const) {
        const alone = await oneRound(stage, past, 'alone', false)
        const beside = await oneRound(stage, past, 'beside', i === 0)
        if (i === 0) asked[past] = beside
        rounds[past].push({ alone: alone.times, beside: beside.times })
        const ratio = (beside.times.last / alone.times.last).toFixed(2)
        options.say(
          `  ${past}: ${Math.round(beside.times.last)} ms beside, ${Math.round(alone.times.last)} ms alone, ${ratio} x`,
        )
      }
    }
    const [known, fresh] = [asked.known, asked.new]
    if (known === undefined || fresh === undefined) throw new Error('no round was measured')
    const questions = { known: known.questions, new: fresh.questions }
    const dials = { known: known.dials, new: fresh.dials }
    return { healthy, others: names.length - healthy, rounds, questions, dials }
  } finally {
    await holes.close()
    await Promise.all([resolving.stop(), serving.stop()])
    await pool.end()
  }
}

const daemonFor = ({ setting, options, url, ports }: Stage) =>
  startDaemon(setting, {
    ...{
      databaseUrl: url,
      queue: options.queue,
      roles: 'ingest,deliver,housekeep',
      profile: options.profile,
    },
    federation: {
      dns_servers: [`127.0.0.1:${ports.dns}`],
      ip_allowlist: ['127.0.0.0/8', '::1/128'],
    },
    // What hangs at the end of a round is of no interest.
    ...{ ports, graceMs: 100 },
  })

async function openTheRooms(stage: Stage): Promise<void> {
  const daemon = await daemonFor(stage)
  const of = { alone: stage.names.filter((name) => roadKind(name) === 'healthy'), beside: stage.names }
  const item = (room: keyof typeof ROOMS) =>
    JSON.stringify({ type: 'servers', room_id: ROOMS[room], set: of[room] })
  await daemon.ingest([item('beside'), item('alone')])
  await quiet(stage.pool)
  await daemon.stop()
}

/** `whole`: until nothing is left to do for anybody, which takes much longer than the healthy need. */
async function oneRound(stage: Stage, past: Past, room: keyof typeof ROOMS, whole: boolean) {
  const { pool, names, resolving, serving, event, ports } = stage
  await stage.setting.emptyQueue()
  await pool.query('delete from discovered')
  await pool.query('delete from open_transactions')
  await pool.query(SET_BACK, [past === 'known'])
  await serving.ask('clear')
  const before = await resolving.ask<Map<string, number>>('questions')
  const dials = watchDials(ports.https)
  const daemon = await daemonFor(stage)
  try {
    await quiet(pool)
    await daemon.ingest([event(ROOMS[room]).item])
    const answeredAt = machineMs()
    const times = timesOf(await arrivedAt(serving, healthyOf(names)), answeredAt)
    if (whole) await ended(stage)
    const after = await resolving.ask<Map<string, number>>('questions')
    const dialled = dials.counts()
    const askedOf = (name: string) => (after.get(name) ?? 0) - (before.get(name) ?? 0)
    const of = (kind: RoadKind) => names.filter((name) => roadKind(name) === kind)
    return {
      times,
      questions: Object.fromEntries(
        ROAD_KINDS.map((kind) => [kind, askedHow(of(kind).map(askedOf))]),
      ) as Record<RoadKind, Asked>,
      dials: askedHow(of('swallowed').map((name) => dialled.get(holeOf(name) ?? '') ?? 0)),
    }
  } finally {
    await dials.stop()
    await daemon.stop()
  }
}

const healthyOf = (names: readonly string[]) => names.filter((name) => roadKind(name) === 'healthy')

function arrivedAt(serving: Child, wanted: readonly string[]): Promise<number[]> {
  return until(
    async () => {
      const seen = await serving.ask<Map<string, number>>('arrivals')
      return wanted.every((name) => seen.has(name)) && wanted.map((name) => seen.get(name) ?? Infinity)
    },
    { what: 'the event to be at the healthy', withinMs: 300_000, everyMs: 50 },
  )
}

function timesOf(arrivals: readonly number[], answeredAt: number): RoadTimes {
  const waits = arrivals.map((at) => Math.max(0, at - answeredAt)).sort((a, b) => a - b)
  return { median: waits[Math.floor(waits.length / 2)] ?? NaN, last: waits.at(-1) ?? NaN }
}

/** The silent have failed once, the others have it. */
async function ended({ pool, names, serving }: Stage): Promise<void> {
  const silent = names.filter((name) => roadKind(name) === 'silent')
  const others = names.filter((name) => roadKind(name) !== 'silent')
  await arrivedAt(serving, others)
  await until(
    async () => {
      const { rows } = await pool.query<{ failed: number }>(FAILED, [silent])
      return (rows[0]?.failed ?? 0) >= silent.length
    },
    { what: 'the silent to have failed', withinMs: WHOLE_ROUND_MS, everyMs: 200 },
  )
}

const askedHow = (counts: readonly number[]): Asked => ({
  most: Math.max(0, ...counts),
  mean: counts.reduce((sum, count) => sum + count, 0) / Math.max(1, counts.length),
})

// Owed nothing; $1: as if all had answered until now, or as if nobody ever had.
const SET_BACK = `
  update destinations set ${ASIDE} position = (select head from stream), lease_owner = null, follows = false, failures = 0,
         failing_since = null, retry_at = null, retry_interval = null, look_at = null, quick = $1, lists = $1,
         last_success = case when $1 then now_ms() end`

const FAILED = `select ${ASIDE} count(*)::int as failed from destinations where failures > 0 and name = any($1)`
