/** A look into a Synapse's database. Who looks again and again keeps the connection: to make one costs more than to look. */
import { openPool, type Pool } from '../../../src/store/db.ts'
import { until } from '../../support/poll.ts'
import type { Synapse } from './synapse.ts'

/** How long a story waits for what should come soon; a slow machine needs a part of it. */
export const PATIENCE_MS = 90_000

export async function inside<T>(synapse: Synapse, work: (db: Pool) => Promise<T>): Promise<T> {
  const pool = openPool({ url: synapse.databaseUrl, max: 1 })
  try {
    return await work(pool)
  } finally {
    await pool.end()
  }
}

/** Which of these events the homeserver has, and how it came by them. */
export async function eventsHeld(synapse: Synapse, eventIds: readonly string[]): Promise<Set<string>> {
  const { rows } = await inside(synapse, (db) =>
    db.query<{ event_id: string }>('select event_id from events where event_id = any($1) and not outlier', [
      eventIds,
    ]),
  )
  return new Set(rows.map((row) => row.event_id))
}

/** Which of these events it keeps as sticky. */
export async function stickyHeld(synapse: Synapse, eventIds: readonly string[]): Promise<Set<string>> {
  const { rows } = await inside(synapse, (db) =>
    db.query<{ event_id: string }>('select event_id from sticky_events where event_id = any($1)', [eventIds]),
  )
  return new Set(rows.map((row) => row.event_id))
}

/** The event that is a user's current membership in a room, as the homeserver sees it. */
export async function membershipEvent(
  synapse: Synapse,
  roomId: string,
  userId: string,
): Promise<{ eventId: string; membership: string } | null> {
  return inside(synapse, (db) => membershipIn(db, roomId, userId))
}

async function membershipIn(
  db: Pool,
  roomId: string,
  userId: string,
): Promise<{ eventId: string; membership: string } | null> {
  const { rows } = await db.query<{ event_id: string; membership: string }>(
    `select c.event_id, c.membership from current_state_events c
      where c.room_id = $1 and c.type = 'm.room.member' and c.state_key = $2`,
    [roomId, userId],
  )
  const [row] = rows
  return row === undefined ? null : { eventId: row.event_id, membership: row.membership }
}

/** Waits until the homeserver sees the user's membership as told; resolves to the event's id. */
export async function seesMember(
  synapse: Synapse,
  roomId: string,
  userId: string,
  membership: string,
): Promise<string> {
  return inside(synapse, (db) =>
    until(
      async () => {
        const found = await membershipIn(db, roomId, userId)
        return found?.membership === membership ? found.eventId : null
      },
      { withinMs: PATIENCE_MS, everyMs: 50, what: `${synapse.serverName} to see ${userId} as ${membership}` },
    ),
  )
}

/** The events that an event names as its parents, and its place in the homeserver's stream. */
export async function placeOf(
  synapse: Synapse,
  eventId: string,
): Promise<{ parents: string[]; at: number } | null> {
  const { rows } = await inside(synapse, (db) =>
    db.query<{ at: number; parents: string[] }>(
      `select e.stream_ordering as at,
              array(select p.prev_event_id from event_edges p where p.event_id = e.event_id order by 1) as parents
         from events e where e.event_id = $1`,
      [eventId],
    ),
  )
  const [row] = rows
  return row === undefined ? null : { parents: row.parents, at: row.at }
}

/** The newest event of a room in the homeserver's stream. */
export async function newestIn(synapse: Synapse, roomId: string): Promise<string | undefined> {
  const { rows } = await inside(synapse, (db) =>
    db.query<{ event_id: string }>(
      'select event_id from events where room_id = $1 order by stream_ordering desc limit 1',
      [roomId],
    ),
  )
  return rows[0]?.event_id
}

/** Waits until the homeserver knows all of the room's state; after a join it is in the room for a while without (MSC3706). */
export async function knowsWhole(synapse: Synapse, roomId: string): Promise<void> {
  await inside(synapse, (db) => {
    const partial = () => db.query('select 1 from partial_state_rooms where room_id = $1', [roomId])
    return until(async () => (await partial()).rowCount === 0, {
      withinMs: PATIENCE_MS,
      everyMs: 50,
      what: `${synapse.serverName} to know the whole room`,
    })
  })
}
