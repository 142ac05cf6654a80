/**
 * What following a Synapse costs: statements on its database and on limpet's, and processor time, for a message of ours, for one of others, and when
 * nothing happens in 25,000 rooms that limpet was told. Synapse is the tables of the tests and somebody who writes into them
 * as it does, and publishes on Redis what it publishes.
 */
import { Redis } from 'ioredis'
import { systemClock } from '../../src/pace/clock.ts'
import type { Pool } from '../../src/store/db.ts'
import { COLUMNS } from '../../src/ingest/synapse/check.ts'
import { synapseTables } from '../ingest/synapse/tables.ts'
import { cpuMs } from '../support/cpu.ts'
import { until } from '../support/poll.ts'
import { startDaemon } from './daemon.ts'
import { OURS } from './events.ts'
import type { Setting } from './setting.ts'
import { countStatements, resetStatements } from './statements.ts'

/** For one event, or for a minute. */
export interface Cost {
  theirs: number
  ours: number
  /** Processor time of limpet, ms; null where it can't be told. */
  cpuMs: number | null
}

export interface FollowingCosts {
  rooms: number
  message: Cost
  remote: Cost
  /** All at once. */
  together: Cost & { events: number }
  idleMinute: Cost
}

export interface FollowingOptions {
  /** A Redis: Synapse publishes there. */
  redis: string
  rooms: number
  events: number
  idleMs: number
  profile?: string | undefined
}

const ROOM = '!followed:home.example'
const ALICE = `@alice:${OURS}`
const BOB = '@bob:b.example'
/** Between two messages, ms: each is taken by itself, with all the looks that it brings about. */
const APART_MS = 600
const READER = 'synapse_reader'

export async function measureFollowing(setting: Setting, options: FollowingOptions): Promise<FollowingCosts> {
  const { redis, rooms, events, idleMs, profile } = options
  const theirs = await setting.database('synapse')
  const ours = await setting.database('following')
  const synapse = await synapseTables({ version: '11', at: theirs.url })
  const publisher = new Redis(redis)
  let at = 0
  const write = async (sender: string, member?: { user: string; membership: string }) => {
    at += 1
    await synapse.write({ at, room: ROOM, sender, ...(member === undefined ? {} : { member }) })
  }
  const finish = async () => {
    // The writer notes it a moment after it has published it.
    await publisher.publish(OURS, `RDATA events master ${at} ["ev",[]]`)
    await synapse.finishedUpTo(at)
  }
  await synapse.pool.query(`update users set name = '${ALICE}'`)
  await synapse.pool.query('insert into rooms (room_id, room_version) values ($1, $2)', [ROOM, '11'])
  await write(ALICE, { user: ALICE, membership: 'join' })
  await write(BOB, { user: BOB, membership: 'join' })
  await synapse.finishedUpTo(at)
  const reader = await synapse.reader([...Object.keys(COLUMNS), 'schema_version', 'users'])
  const url = reader.options.connectionString ?? ''
  const daemon = await startDaemon(setting, {
    databaseUrl: ours.url,
    queue: redis,
    roles: 'ingest',
    sources: { synapse: { database: url, redis } },
    profile,
  })
  const taken = async () => {
    // The alias keeps it out of the count.
    const { rows } = await ours.pool.query<{ pg_stat_statements: string }>(
      `select source_token as pg_stat_statements from sources where source = 'synapse'`,
    )
    return Number(/events=(\d+)/.exec(rows[0]?.pg_stat_statements ?? '')?.[1] ?? -1)
  }
  const reached = () =>
    until(async () => (await taken()) === at, { what: `the source to reach ${at}`, withinMs: 60_000 })

  /** What `work` costs, less what goes by in its time anyway. */
  async function costOf(count: number, idle: Cost, work: () => Promise<void>): Promise<Cost> {
    await reset(theirs.pool, ours.pool)
    const before = { at: performance.now(), cpu: cpuMs(daemon.pid) }
    await work()
    const minutes = (performance.now() - before.at) / 60_000
    const cpu = cpuMs(daemon.pid)
    return {
      theirs: ((await countStatements(theirs.pool, READER)) - idle.theirs * minutes) / count,
      ours: ((await countStatements(ours.pool, 'limpet')) - idle.ours * minutes) / count,
      cpuMs:
        cpu === null || before.cpu === null || idle.cpuMs === null
          ? null
          : (cpu - before.cpu - idle.cpuMs * minutes) / count,
    }
  }
  const oneByOne = (sender: string) => async () => {
    for (let i = 0; i < events; i += 1) {
      await write(sender)
      await finish()
      await systemClock.sleep(APART_MS)
    }
  }
  const nothing = { theirs: 0, ours: 0, cpuMs: 0 }
  try {
    await reached()
    await write(ALICE)
    await finish()
    await reached()
    await systemClock.sleep(2_000)
    const aMinute = 60_000 / idleMs
    const quiet = async () => {
      const all = await costOf(1, nothing, () => systemClock.sleep(idleMs))
      return {
        theirs: all.theirs * aMinute,
        ours: all.ours * aMinute,
        cpuMs: all.cpuMs === null ? null : all.cpuMs * aMinute,
      }
    }
    const idle = await quiet()
    const message = await costOf(events, idle, async () => {
      await oneByOne(ALICE)()
      await reached()
    })
    const remote = await costOf(events, idle, oneByOne(BOB))
    await write(ALICE)
    const many = 10 * events
    for (let i = 1; i < many; i += 1) await write(ALICE)
    const together = await costOf(many, idle, async () => {
      await finish()
      await reached()
    })
    await tellRooms(theirs.pool, ours.pool, rooms)
    const idleMinute = await quiet()
    return { rooms, message, remote, together: { ...together, events: many }, idleMinute }
  } finally {
    await daemon.stop()
    publisher.disconnect()
    await synapse.close()
    await theirs.pool.end()
    await ours.pool.end()
  }
}

async function reset(...pools: Pool[]): Promise<void> {
  for (const pool of pools) await resetStatements(pool)
}

async function tellRooms(theirs: Pool, ours: Pool, rooms: number): Promise<void> {
  await theirs.query(
    `insert into rooms (room_id, room_version) select '!told' || n || ':${OURS}', '11' from generate_series(1, $1) n`,
    [rooms],
  )
  await ours.query(
    `insert into rooms (room_id, room_version, known) select '!told' || n || ':${OURS}', '11', true from generate_series(1, $1) n`,
    [rooms],
  )
  await theirs.query('analyze rooms')
  await ours.query('analyze rooms')
}
