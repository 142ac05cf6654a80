/**
 * Do dead destinations delay those that are healthy? 100 get steady traffic. Then one event is owed to 10,000 that answered until now and
 * are all dead at once, so all of them are dialled in one round. What is compared is how soon an event is there: in the round, and in the
 * ten seconds before it. First the dead refuse the connection, then they let it hang.
 *
 * And 1,000 more fail, are due and are owed nothing: how many connections do they get?
 */
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { systemClock } from '../../src/pace/clock.ts'
import type { Pool } from '../../src/store/db.ts'
import { until } from '../support/poll.ts'
import { startChild } from './child.ts'
import { startDaemon } from './daemon.ts'
import { deafen } from './deaf.ts'
import { makeEvents } from './events.ts'
import type { Fleet } from './fleet.ts'
import { measureLatency, type Latency } from './latency.ts'
import type { Setting } from './setting.ts'
import { ASIDE, dearestStatements, resetStatements } from './statements.ts'
import { meetAll, openRooms, type Scene } from './traffic.ts'
import { beginWindow, type Watched, type Window } from './window.ts'

export type Death = 'refuse' | 'hang'

/** One event for all of the dead, beside the healthy. */
export interface Round {
  without: Latency
  with: Latency
  /** How many of the dead were dialled to the end while it was measured, and how long that was. */
  dialled: number
  seconds: number
  window: Window
}

export interface Dead {
  healthy: number
  dead: number
  rounds: Record<Death, Round[]>
  /** Destinations that are owed nothing, and connections to them. */
  owedNothing: number
  connections: number
}

export interface DeadOptions {
  queue: string
  database: string
  dead: number
  rounds: number
  profile?: string | undefined
  statements?: ((text: string) => void) | null
}

const OWED_NOTHING = 1_000
const WARM_UP_MS = 3_000
/** A round of those that hang is left after this: each takes ten seconds. */
const LONGEST_ROUND_MS: Record<Death, number> = { refuse: 300_000, hang: 30_000 }
/** Nobody listens there. */
const CLOSED_PORT = 9

interface Stage {
  scene: Scene
  watched: Watched
  options: DeadOptions
}

export async function measureDead(setting: Setting, fleet: Fleet, options: DeadOptions): Promise<Dead> {
  const { queue, database, profile, dead } = options
  const { url, pool } = await setting.database(database)
  const deaf = startChild(setting.built('test/bench/deaf.ts'))
  let connections = 0
  const counting = createServer((socket) => {
    connections += 1
    socket.destroy()
  }).listen({ port: 0, host: '0.0.0.0' })
  await once(counting, 'listening')
  const countingPort = (counting.address() as AddressInfo).port
  const deafPort = await deafen(deaf)
  const roles = 'ingest,deliver,housekeep'
  const daemon = await startDaemon(setting, { databaseUrl: url, queue, roles, profile })
  try {
    const pids = { limpet: daemon.pid, postgres: setting.postgres.pid() }
    const scene: Scene = { key: setting.key, daemon, fleet, names: fleet.names, pool }
    const stage: Stage = { scene, watched: { fleet, pids, pool }, options }
    const servers = (room_id: string, set: string[]) =>
      daemon.ingest([JSON.stringify({ type: 'servers', room_id, set })])
    await openRooms(scene)
    await meetAll(scene)
    await servers(roomOf('refuse'), namesOf('refuse', dead, CLOSED_PORT))
    if (deafPort !== null) await servers(roomOf('hang'), namesOf('hang', dead, deafPort))
    await servers('!nothing:home.example', namesOf('nothing', OWED_NOTHING, countingPort))
    await pool.query(FAILING, [NETWORKS.nothing])
    await pool.query('vacuum analyze')
    await until(async () => (await pool.query(STILL_DUE, [NETWORKS.nothing])).rowCount === 0, {
      what: 'those that are owed nothing to be done with',
      withinMs: 120_000,
      everyMs: 200,
    })
    await measureLatency(scene, (sinceMs) => sinceMs < WARM_UP_MS)
    const rounds: Dead['rounds'] = { refuse: [], hang: [] }
    while (rounds.refuse.length < options.rounds) rounds.refuse.push(await oneRound(stage, 'refuse'))
    // Once: until all of them have been dialled takes minutes.
    if (deafPort !== null) rounds.hang.push(await oneRound(stage, 'hang'))
    return { healthy: fleet.names.length, dead, rounds, owedNothing: OWED_NOTHING, connections }
  } finally {
    await daemon.stop()
    await deaf.stop()
    counting.close()
    await pool.end()
  }
}

async function oneRound({ scene, watched, options }: Stage, death: Death): Promise<Round> {
  const { pool, daemon, key } = scene
  await revive(pool, 'refuse')
  await revive(pool, 'hang')
  const without = await measureLatency(scene)
  if (options.statements) await resetStatements(pool)
  const end = await beginWindow(watched)
  const began = performance.now()
  await daemon.ingest([makeEvents(key)(roomOf(death)).item])
  let dialled = 0
  let over = false
  const watching = (async () => {
    while (!over) {
      const { rows } = await pool.query<{ failed: number }>(FAILED, [NETWORKS[death]])
      dialled = rows[0]?.failed ?? 0
      over ||= dialled === options.dead || performance.now() - began > LONGEST_ROUND_MS[death]
      if (!over) await systemClock.sleep(250)
    }
    return { seconds: (performance.now() - began) / 1000, window: await end() }
  })()
  try {
    const beside = await measureLatency(scene, () => !over)
    const watched = await watching
    options.statements?.(`${death}:\n${await dearestStatements(pool)}`)
    return { without, with: beside, dialled, ...watched }
  } finally {
    over = true
    await watching.catch(() => undefined)
  }
}

const NETWORKS = { refuse: '127.1.', hang: '127.3.', nothing: '127.2.' } as const

const roomOf = (death: Death) => `!dead-${death}:home.example`

const namesOf = (who: keyof typeof NETWORKS, count: number, port: number) =>
  Array.from({ length: count }, (_, i) => `${NETWORKS[who]}${Math.floor(i / 250)}.${1 + (i % 250)}:${port}`)

// They failed, and their next attempt has come: whoever looks finds that there is nothing to try.
const FAILING = `
  update destinations set failures = 3, failing_since = now_ms() - 60000, retry_at = now_ms(), retry_interval = 1000, look_at = now_ms()
   where starts_with(name, $1)`

const STILL_DUE = `select ${ASIDE} from destinations where starts_with(name, $1) and (look_at is not null or lease_owner is not null) limit 1`

const FAILED = `select ${ASIDE} count(*) filter (where failures > 0) as failed from destinations where starts_with(name, $1)`

// As if they had answered until now, and were owed nothing.
const REVIVE = `
  update destinations set ${ASIDE} position = (select head from stream), failures = 0, failing_since = null, retry_at = null,
         retry_interval = null, look_at = null, quick = true, lists = true, last_success = now_ms()
   where starts_with(name, $1) and lease_owner is null and (failures > 0 or last_success is null)`

const NOT_REVIVED = `
  select ${ASIDE} from destinations where starts_with(name, $1) and (failures > 0 or last_success is null or lease_owner is not null) limit 1`

/** Those that are being dialled are revived when that has failed. */
async function revive(pool: Pool, death: Death): Promise<void> {
  const given = [NETWORKS[death]]
  await until(
    async () => {
      await pool.query(REVIVE, given)
      return (await pool.query(NOT_REVIVED, given)).rowCount === 0
    },
    { what: 'the dead to be owed nothing', withinMs: 180_000, everyMs: 200 },
  )
}
