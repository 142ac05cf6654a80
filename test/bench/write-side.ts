/**
 * The write side alone: a process with the role `ingest`, nobody who delivers. How much WAL one event costs,
 * whatever the number of servers it is for, and how many events a second are taken.
 */
import type { Pool } from '../../src/store/db.ts'
import { beginCosts } from './costs.ts'
import { startDaemon, type Daemon } from './daemon.ts'
import { makeEvents } from './events.ts'
import type { Setting } from './setting.ts'
import { each, type Window } from './window.ts'

export interface WriteSide {
  /** By the number of servers in the room. */
  walBytesPerEvent: { servers: number; alone: number; inBatches: number }[]
  batches: Rate
  singles: Rate
}

export interface Rate {
  perSecond: number
  /** Of one event. */
  costs: Pick<Window, 'cpuUs' | 'thread' | 'database'>
}

const SIZES = [10, 500, 5_000]
const ALONE = 300
const BATCH = 500
const BATCHES = 24
const PRODUCERS = 2
const SINGLES = 4_000
const AT_ONCE = 200

export async function measureWriteSide(
  setting: Setting,
  { queue, database, profile }: { queue: string; database: string; profile?: string | undefined },
): Promise<WriteSide> {
  const { url, pool } = await setting.database(database)
  const daemon = await startDaemon(setting, { databaseUrl: url, queue, roles: 'ingest', profile })
  const event = makeEvents(setting.key)
  const eventsOf = (count: number, room: string) => Array.from({ length: count }, () => event(room).item)
  try {
    const walBytesPerEvent = []
    for (const servers of SIZES) {
      const room_id = `!of${servers}:home.example`
      const set = Array.from({ length: servers }, (_, i) => `s${i}.example`)
      await daemon.ingest([JSON.stringify({ type: 'servers', room_id, set })])
      await oneByOne(daemon, eventsOf(50, room_id))
      const alone = await walOf(pool, () => oneByOne(daemon, eventsOf(ALONE, room_id)))
      const inBatches = await walOf(pool, () => daemon.ingest(eventsOf(BATCH, room_id)))
      walBytesPerEvent.push({ servers, alone: alone / ALONE, inBatches: inBatches / BATCH })
    }
    const batches = Array.from({ length: BATCHES }, (_, i) =>
      eventsOf(BATCH, `!of${SIZES[i % 2] ?? 0}:home.example`),
    )
    const pids = { limpet: daemon.pid, postgres: setting.postgres.pid() }
    const rateOf = async (requests: string[][], atOnce: number): Promise<Rate> => {
      const count = requests.reduce((sum, { length }) => sum + length, 0)
      const end = await beginCosts(pids, pool)
      await sendAll(daemon, requests, atOnce)
      const costs = await end()
      return { perSecond: (count * 1000) / costs.ms, costs: each(costs, count) }
    }
    const batchesRate = await rateOf(batches, PRODUCERS)
    const singles = Array.from({ length: SINGLES }, (_, i) =>
      eventsOf(1, `!of${SIZES[i % 2] ?? 0}:home.example`),
    )
    return { walBytesPerEvent, batches: batchesRate, singles: await rateOf(singles, AT_ONCE) }
  } finally {
    await daemon.stop()
    await pool.end()
  }
}

async function oneByOne(daemon: Daemon, items: string[]): Promise<void> {
  for (const item of items) await daemon.ingest([item])
}

async function walOf(pool: Pool, work: () => Promise<void>): Promise<number> {
  const position = async () => {
    const { rows } = await pool.query<{ at: string }>(`select pg_current_wal_insert_lsn() - '0/0' as at`)
    return Number(rows[0]?.at)
  }
  const before = await position()
  await work()
  return (await position()) - before
}

/** Sends the requests, so many at once. */
async function sendAll(daemon: Daemon, requests: string[][], atOnce: number): Promise<void> {
  const left = [...requests]
  const producer = async (_: unknown, index: number) => {
    for (let items = left.pop(); items !== undefined; items = left.pop())
      await daemon.ingest(items, `producer${index}`)
  }
  await Promise.all(Array.from({ length: atOnce }, () => null).map(producer))
}
