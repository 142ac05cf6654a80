/** Ingest, a clock and retention on a database of their own, and what retention left of it. */
import { makeLog } from '../../../src/observe/log.ts'
import type { Pool } from '../../../src/store/db.ts'
import { listPartitions } from '../../../src/store/upkeep/log-partitions.ts'
import { makeRetention, type RetentionNeeds } from '../../../src/store/upkeep/retention.ts'
import { makeSeenTime } from '../../../src/store/upkeep/seen-time.ts'
import { HOUR, makeIngestWorld } from '../../ingest/ingest-world.ts'

export const DAY = 24 * HOUR
/** As short as the configuration allows; a partition is begun every half hour. */
export const SETTINGS = { events_ms: 2 * HOUR, event_ids_ms: 30 * DAY, newest_event_ms: 90 * DAY }

export type RetentionWorld = Awaited<ReturnType<typeof makeRetentionWorld>>

export async function makeRetentionWorld() {
  const world = await makeIngestWorld()
  const { pool } = world
  const log = makeLog({ level: 'silent', pretty: false })
  let monotonic = 0
  const clock = { monotonic: () => monotonic }
  const seen = makeSeenTime({ clock, eventsMs: SETTINGS.events_ms, longestMs: 100 * DAY, log })
  async function later(ms: number): Promise<void> {
    await pool.query(
      `insert into settings (key, value) values ('clock_offset_ms', $1)
       on conflict (key) do update set value = (settings.value::bigint + $1::bigint)::text`,
      [String(ms)],
    )
  }
  return {
    ...world,
    /** Puts the database's clock forward or back, and no other. */
    later,
    /** Time passes while a process runs: by both its clock and the database's. It looks as often as a mark takes. */
    async passes(ms: number): Promise<void> {
      await seen.note(pool)
      for (const step of [61_000, ms]) {
        await later(step)
        monotonic += step
        await seen.note(pool)
      }
    },
    /** One look. */
    retain: (needs: Partial<RetentionNeeds> = {}) =>
      makeRetention({
        pool,
        ...{ settings: SETTINGS, log, clock, seen },
        ...needs,
      })(),
    /** Event ids that the log holds, and those that were kept, in stream order. */
    async holds(): Promise<{ log: string[]; kept: string[] }> {
      const ids = async (table: string) =>
        (await world.rows<{ event_id: string }>(`select event_id from ${table} order by pos`)).map(
          ({ event_id }) => event_id,
        )
      return { log: await ids('events'), kept: await ids('kept_events') }
    },
    partitions: async () => (await listPartitions(pool)).map(({ name, state }) => `${name} ${state}`),
    destination: async (name: string) => {
      const [row] = await world.rows<{
        id: number
        position: number
        from: number
        to: number
        cursor: number
      }>(
        `select d.id, d.position, g.from_pos as from, g.to_pos as to, g.cursor from destinations d
           left join gaps g on g.destination = d.id and g.closed_at is null where d.name = $1`,
        [name],
      )
      if (row === undefined) throw new Error(`unknown destination ${name}`)
      return row
    },
  }
}

/** The texts at `positions`, in the log or kept of it; what was purged has none. */
export async function readTexts(pool: Pool, positions: readonly number[]): Promise<{ pdu: string }[]> {
  const { rows } = await pool.query<{ pdu: string }>(
    `select pdu from (select pos, pdu from events union select pos, pdu from kept_events) e
      where pos = any($1) order by pos`,
    [positions],
  )
  return rows
}
