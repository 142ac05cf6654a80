/**
 * Does trouble on the way to some destinations delay those to which the way is clear? 500 plain names, none of them connected, nothing
 * remembered of any: 100 healthy, 200 with silent DNS, 100 whose port for `.well-known` is a black hole, 100 whose IPv6 address is one
 * (`road-names.ts`). One event goes to the 100 alone, then one to all 500, each in a daemon that has just started. What is
 * compared is how soon the event is at the 100.
 *
 * Twice: all have answered until now (`known`), or nobody ever has (`new`). And how often is each name asked for?
 */
import { startBlackHoles } from '../support/black-hole.ts'
import { quietPort } from '../support/port.ts'
import { machineMs, startChild } from './child.ts'
import { watchDials } from './dialled.ts'
import { makeEvents } from './events.ts'
import { holeOf, ROAD_KINDS, roadHoles, roadKind, roadNames, type RoadKind } from './road-names.ts'
import type { RoadServers } from './road-servers.ts'
import {
  arrivedAt,
  daemonFor,
  ended,
  healthyOf,
  ROOMS,
  SET_BACK,
  type RoadOptions,
  type Stage,
} from './road-stage.ts'
import { steadyRound, type RoadSteady } from './road-steady.ts'
import type { Setting } from './setting.ts'
import { quiet, soloRoom } from './traffic.ts'

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
  steady: RoadSteady
  /** DNS questions a name. */
  questions: Record<Past, Record<RoadKind, Asked>>
  /** Dials of a port for `.well-known` at which nothing answers, a name. */
  dials: Record<Past, Asked>
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
    const steady = await steadyRound(stage)
    const [known, fresh] = [asked.known, asked.new]
    if (known === undefined || fresh === undefined) throw new Error('no round was measured')
    const questions = { known: known.questions, new: fresh.questions }
    const dials = { known: known.dials, new: fresh.dials }
    return { healthy, others: names.length - healthy, rounds, steady, questions, dials }
  } finally {
    await holes.close()
    await Promise.all([resolving.stop(), serving.stop()])
    await pool.end()
  }
}

async function openTheRooms(stage: Stage): Promise<void> {
  const daemon = await daemonFor(stage)
  const healthy = healthyOf(stage.names)
  const others = stage.names.filter((name) => roadKind(name) !== 'healthy')
  const of = { alone: healthy, beside: stage.names, others }
  const item = (room: keyof typeof ROOMS) =>
    JSON.stringify({ type: 'servers', room_id: ROOMS[room], set: of[room] })
  const solo = healthy.map((name, i) =>
    JSON.stringify({ type: 'servers', room_id: soloRoom(i), set: [name] }),
  )
  await daemon.ingest([item('beside'), item('alone'), item('others'), ...solo])
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

function timesOf(arrivals: readonly number[], answeredAt: number): RoadTimes {
  const waits = arrivals.map((at) => Math.max(0, at - answeredAt)).sort((a, b) => a - b)
  return { median: waits[Math.floor(waits.length / 2)] ?? NaN, last: waits.at(-1) ?? NaN }
}

const askedHow = (counts: readonly number[]): Asked => ({
  most: Math.max(0, ...counts),
  mean: counts.reduce((sum, count) => sum + count, 0) / Math.max(1, counts.length),
})
