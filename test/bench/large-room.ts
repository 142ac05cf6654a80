/**
 * One event into a room of 5,000 servers: how long until the last of them has it, by first contact and with connections open? Beside it
 * the raw loop over as many connections.
 */
import type { Pool } from '../../src/store/db.ts'
import { until } from '../support/poll.ts'
import { machineMs } from './child.ts'
import { middleOf } from './compare-verdict.ts'
import { startDaemon, type Daemon } from './daemon.ts'
import { makeEvents } from './events.ts'
import type { Fleet } from './fleet.ts'
import { measureRawBursts, type RawBurst } from './raw.ts'
import type { Setting } from './setting.ts'
import { ASIDE, dearestStatements, resetStatements } from './statements.ts'
import { beginWindow, type Watched, type Window } from './window.ts'

/** One event to all of them. */
export interface Burst {
  /** From the 200 to the last delivery. */
  seconds: number
  /** Until every turn had ended; but the thread's use is that until the last delivery. */
  window: Window
}

export interface LargeRoom {
  servers: number
  firstContact: Burst
  connected: Burst[]
  raw: RawBurst[]
}

export interface LargeRoomOptions {
  queue: string
  database: string
  bursts: number
  profile?: string | undefined
  statements?: ((text: string) => void) | null
}

interface Room {
  daemon: Daemon
  watched: Watched
  pool: Pool
}

export async function measureLargeRoom(
  setting: Setting,
  fleet: Fleet,
  { queue, database, bursts, profile, statements }: LargeRoomOptions,
): Promise<LargeRoom> {
  const raw = await measureRawBursts(setting, fleet, bursts)
  const { url, pool } = await setting.database(database)
  const federation = { max_idle_connections: fleet.names.length }
  const roles = 'ingest,deliver,housekeep'
  const daemon = await startDaemon(setting, { databaseUrl: url, queue, roles, federation, profile })
  try {
    const room_id = '!large:home.example'
    await daemon.ingest([JSON.stringify({ type: 'servers', room_id, set: fleet.names })])
    const event = makeEvents(setting.key)
    const pids = { limpet: daemon.pid, postgres: setting.postgres.pid() }
    const room: Room = { daemon, watched: { fleet, pids, pool }, pool }
    const firstContact = await oneBurst(room, event(room_id).item)
    // The second one finds the connections, and the third a program that has done this before.
    await oneBurst(room, event(room_id).item)
    if (statements) await resetStatements(pool)
    const connected: Burst[] = []
    while (connected.length < bursts) connected.push(await oneBurst(room, event(room_id).item))
    statements?.(await dearestStatements(pool))
    return { servers: fleet.names.length, firstContact, connected, raw }
  } finally {
    await daemon.stop()
    await pool.end()
  }
}

/** The one that took the time in the middle. */
export function medianOf<T extends { seconds: number }>(bursts: readonly T[]): T | undefined {
  return middleOf(bursts, ({ seconds }) => seconds)
}

async function oneBurst({ daemon, watched, pool }: Room, item: string): Promise<Burst> {
  const { fleet } = watched
  const before = (await fleet.counts()).pdus
  const end = await beginWindow(watched)
  await daemon.ingest([item])
  const taken = machineMs()
  await until(async () => (await fleet.counts()).pdus - before === fleet.names.length, {
    what: `the event to reach ${fleet.names.length} servers`,
    withinMs: 300_000,
    everyMs: 20,
  })
  const { thread } = await end()
  const { lastAt } = await fleet.counts()
  const held = `select ${ASIDE} from destinations where lease_owner is not null limit 1`
  await until(async () => (await pool.query(held)).rowCount === 0, {
    what: 'every turn to end',
    withinMs: 60_000,
    everyMs: 100,
  })
  return { seconds: (lastAt - taken) / 1000, window: { ...(await end()), thread } }
}
