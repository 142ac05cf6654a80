/** One event into a room of 5,000 servers: how long until the last of them has it, by first contact and with connections open. */
import type { Pool } from '../../src/store/db.ts'
import { until } from '../support/poll.ts'
import { machineMs } from './child.ts'
import { startDaemon, type Daemon } from './daemon.ts'
import { makeEvents } from './events.ts'
import type { Fleet } from './fleet.ts'
import type { Setting } from './setting.ts'

export interface LargeRoom {
  servers: number
  /** From the 200 to the last delivery, s. */
  firstContact: number
  connected: number
}

export async function measureLargeRoom(
  setting: Setting,
  fleet: Fleet,
  { queue, database, profile }: { queue: string; database: string; profile?: string | undefined },
): Promise<LargeRoom> {
  const { url, pool } = await setting.database(database)
  const federation = { max_idle_connections: fleet.names.length }
  const roles = 'ingest,deliver,housekeep'
  const daemon = await startDaemon(setting, { databaseUrl: url, queue, roles, federation, profile })
  try {
    const room_id = '!large:home.example'
    await daemon.ingest([JSON.stringify({ type: 'servers', room_id, set: fleet.names })])
    const event = makeEvents(setting.key)
    const firstContact = await secondsToLast(daemon, fleet, pool, event(room_id).item)
    // The second one finds the connections, and the third a program that has done this before.
    await secondsToLast(daemon, fleet, pool, event(room_id).item)
    const connected = await secondsToLast(daemon, fleet, pool, event(room_id).item)
    return { servers: fleet.names.length, firstContact, connected }
  } finally {
    await daemon.stop()
    await pool.end()
  }
}

async function secondsToLast(daemon: Daemon, fleet: Fleet, pool: Pool, item: string): Promise<number> {
  const before = (await fleet.counts()).pdus
  await daemon.ingest([item])
  const taken = machineMs()
  await until(async () => (await fleet.counts()).pdus - before === fleet.names.length, {
    what: `the event to reach ${fleet.names.length} servers`,
    withinMs: 300_000,
    everyMs: 50,
  })
  const { lastAt } = await fleet.counts()
  await until(
    async () => (await pool.query('select from destinations where lease_owner is not null')).rowCount === 0,
    {
      what: 'every turn to end',
      withinMs: 60_000,
      everyMs: 100,
    },
  )
  return (lastAt - taken) / 1000
}
