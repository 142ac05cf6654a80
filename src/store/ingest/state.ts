/**
 * Everything that must be known before a batch of items can be taken, loaded once under the stream's lock.
 *
 * Ids for new rooms and destinations are drawn here already; an id that stays unused is only a hole in a sequence. No
 * id is drawn for a name that is only mentioned, because advice about strangers comes all the time.
 */
import type { Db } from '../db.ts'
import { selectStream, withRoom, type StreamRow } from '../stream.ts'
import { sql } from '../statement.ts'

export interface RoomState {
  id: number
  isNew: boolean
  version: string | null
  known: boolean
}

export interface DestinationRef {
  id: number
  isNew: boolean
}

export interface Touched {
  sources: string[]
  /** Rooms that get an id where they have none. */
  rooms: string[]
  /** Rooms that matter only if they are known. */
  mentionedRooms: string[]
  /** Rooms whose whole list of servers is needed. */
  wholeRooms: string[]
  /** Rooms in which single servers are added or removed. */
  serverRooms: string[]
  /** Servers that get an id where they have none. */
  servers: string[]
  /** Servers that matter only if they are known. */
  mentionedServers: string[]
  eventIds: string[]
}

export interface IngestState {
  head: number
  now: number
  tokens: Map<string, string | null>
  rooms: Map<string, RoomState>
  destinations: Map<string, DestinationRef>
  /** Positions of the event ids that are known already. */
  positions: Map<string, number>
  /** Servers now in a room, as far as the batch asks. */
  members: Map<string, Set<string>>
  /** Rooms in which an event of ours is sticky. */
  stickyRooms: Set<string>
}

const FRESH_IDS = {
  rooms: sql(
    'draw room ids',
    `select nextval(pg_get_serial_sequence('rooms', 'id')) as id from generate_series(1, $1)`,
  ),
  destinations: sql(
    'draw destination ids',
    `select nextval(pg_get_serial_sequence('destinations', 'id')) as id from generate_series(1, $1)`,
  ),
}

const MEMBERS = sql(
  'read members',
  `select r.room_id, d.name, d.id
    from memberships m
    join rooms r on r.id = m.room
    join destinations d on d.id = m.destination
   where m.until is null
     and (r.room_id = any($1) or (r.room_id = any($2) and d.name = any($3)))`,
)

const STICKY_ROOMS = sql(
  'read sticky rooms',
  `select r.room_id from rooms r
   where r.room_id = any($1) and exists (select 1 from sticky s where s.room = r.id and s.expires_at > $2)`,
)

// One statement: ingest waits for all of them with the stream's lock in its hand. The stream's own row comes with it. The numbers are
// given so that PostgreSQL expects few, and plans this once: to plan it at each call took longer than to run it.
const LOAD = selectStream(`,
       (select coalesce(json_agg(json_build_array(source, source_token)), '[]')
          from sources where source in (select unnest($1::text[]) limit $4)) as tokens,
       (select coalesce(json_agg(json_build_array(id, room_id, room_version, known)), '[]')
          from rooms where room_id in (select unnest($2::text[]) limit $5)) as rooms,
       (select coalesce(json_agg(json_build_array(event_id, pos)), '[]')
          from event_ids where event_id in (select unnest($3::text[]) limit $6)) as positions`)

interface Loaded extends StreamRow {
  tokens: [source: string, token: string | null][]
  rooms: [id: number, roomId: string, version: string | null, known: boolean][]
  positions: [eventId: string, pos: number][]
}

const DESTINATIONS = sql('read destinations', 'select id, name from destinations where name = any($1)')

/** Those of `names` that there are. */
export async function destinationsCalled(
  db: Db,
  names: readonly string[],
): Promise<{ id: number; name: string }[]> {
  return (await db.query<{ id: number; name: string }>(DESTINATIONS, [names])).rows
}

/** Call it when the right to append was waited for. */
export async function loadIngestState(db: Db, touched: Touched): Promise<IngestState> {
  const asked = [touched.sources, [...touched.rooms, ...touched.mentionedRooms], touched.eventIds]
  const numbers = asked.map((list) => list.length)
  const loaded = await withRoom(db, (await db.query<Loaded>(LOAD, [...asked, ...numbers])).rows[0])
  const state: IngestState = {
    head: loaded.head,
    now: loaded.now,
    tokens: new Map(loaded.tokens),
    rooms: new Map(),
    destinations: new Map(),
    positions: new Map(loaded.positions),
    members: new Map(),
    stickyRooms: new Set(),
  }
  for (const [id, roomId, version, known] of loaded.rooms)
    state.rooms.set(roomId, { id, isNew: false, version, known })
  const strange = touched.rooms.filter((room) => !state.rooms.has(room))
  for (const [index, id] of (await freshIds(db, 'rooms', strange.length)).entries())
    state.rooms.set(strange[index] ?? '', { id, isNew: true, version: null, known: false })
  if (touched.servers.length + touched.mentionedServers.length > 0) {
    const rows = await destinationsCalled(db, [...touched.servers, ...touched.mentionedServers])
    for (const { id, name } of rows) state.destinations.set(name, { id, isNew: false })
    const missing = touched.servers.filter((name) => !state.destinations.has(name))
    for (const [index, id] of (await freshIds(db, 'destinations', missing.length)).entries()) {
      state.destinations.set(missing[index] ?? '', { id, isNew: true })
    }
  }
  if (touched.serverRooms.length + touched.wholeRooms.length > 0) await loadMembers(db, state, touched)
  return state
}

async function loadMembers(db: Db, state: IngestState, touched: Touched): Promise<void> {
  const all = [...touched.wholeRooms, ...touched.serverRooms]
  for (const room of all) state.members.set(room, new Set())
  const { rows } = await db.query<{ room_id: string; name: string; id: number }>(MEMBERS, [
    touched.wholeRooms,
    touched.serverRooms,
    [...touched.servers, ...touched.mentionedServers],
  ])
  for (const { room_id, name, id } of rows) {
    state.members.get(room_id)?.add(name)
    // A server that `set` removes was not named by the item.
    state.destinations.set(name, { id, isNew: false })
  }
  const { rows: sticky } = await db.query<{ room_id: string }>(STICKY_ROOMS, [all, state.now])
  for (const { room_id } of sticky) state.stickyRooms.add(room_id)
}

const HAS_STICKY = sql(
  'is anything sticky',
  'select exists (select 1 from sticky where room = $1 and expires_at > $2) as has',
)

/** Whether an event of ours is sticky in the room at `now` (ms since the epoch). */
export async function hasSticky(db: Db, room: number, now: number): Promise<boolean> {
  const { rows } = await db.query<{ has: boolean }>(HAS_STICKY, [room, now])
  return rows[0]?.has === true
}

async function freshIds(db: Db, table: 'rooms' | 'destinations', count: number): Promise<number[]> {
  if (count === 0) return []
  const { rows } = await db.query<{ id: number }>(FRESH_IDS[table], [count])
  return rows.map(({ id }) => id)
}
