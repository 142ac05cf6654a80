/**
 * What a batch of items needs to know before it can be taken: loaded once, under the stream's lock.
 *
 * Ids for rooms and destinations not seen before are drawn here already; one that stays unused is only
 * a hole in a sequence. None is drawn for what is only mentioned: advice about strangers comes all the time.
 */
import type { Db } from './db.ts'

export interface RoomState {
  id: number
  isNew: boolean
  version: string | null
  known: boolean
}

export interface DestinationState {
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
  destinations: Map<string, DestinationState>
  /** Positions of the event ids that are known already. */
  positions: Map<string, number>
  /** Servers now in a room, as far as the batch asks. */
  members: Map<string, Set<string>>
  /** Rooms in which an event of ours is sticky. */
  stickyRooms: Set<string>
}

const FRESH_IDS = {
  rooms: `select nextval(pg_get_serial_sequence('rooms', 'id')) as id from generate_series(1, $1)`,
  destinations: `select nextval(pg_get_serial_sequence('destinations', 'id')) as id from generate_series(1, $1)`,
}

const MEMBERS = `
  select r.room_id, d.name, d.id
    from memberships m
    join rooms r on r.id = m.room
    join destinations d on d.id = m.destination
   where m.until is null
     and (r.room_id = any($1) or (r.room_id = any($2) and d.name = any($3)))`

const STICKY_ROOMS = `
  select r.room_id from rooms r
   where r.room_id = any($1) and exists (select 1 from sticky s where s.room = r.id and s.expires_at > $2)`

export async function loadIngestState(
  db: Db,
  at: { head: number; now: number },
  touched: Touched,
): Promise<IngestState> {
  const state: IngestState = {
    ...at,
    tokens: new Map(),
    rooms: new Map(),
    destinations: new Map(),
    positions: new Map(),
    members: new Map(),
    stickyRooms: new Set(),
  }
  const { rows: sources } = await db.query<{ source: string; source_token: string | null }>(
    'select source, source_token from sources where source = any($1)',
    [touched.sources],
  )
  for (const { source, source_token } of sources) state.tokens.set(source, source_token)
  if (touched.rooms.length + touched.mentionedRooms.length > 0) {
    const { rows } = await db.query<{
      id: number
      room_id: string
      room_version: string | null
      known: boolean
    }>('select id, room_id, room_version, known from rooms where room_id = any($1)', [
      [...touched.rooms, ...touched.mentionedRooms],
    ])
    for (const { id, room_id, room_version, known } of rows) {
      state.rooms.set(room_id, { id, isNew: false, version: room_version, known })
    }
    const missing = touched.rooms.filter((room) => !state.rooms.has(room))
    for (const [index, id] of (await freshIds(db, 'rooms', missing.length)).entries()) {
      state.rooms.set(missing[index] ?? '', { id, isNew: true, version: null, known: false })
    }
  }
  if (touched.servers.length + touched.mentionedServers.length > 0) {
    const { rows } = await db.query<{ id: number; name: string }>(
      'select id, name from destinations where name = any($1)',
      [[...touched.servers, ...touched.mentionedServers]],
    )
    for (const { id, name } of rows) state.destinations.set(name, { id, isNew: false })
    const missing = touched.servers.filter((name) => !state.destinations.has(name))
    for (const [index, id] of (await freshIds(db, 'destinations', missing.length)).entries()) {
      state.destinations.set(missing[index] ?? '', { id, isNew: true })
    }
  }
  if (touched.eventIds.length > 0) {
    const { rows } = await db.query<{ event_id: string; pos: number }>(
      'select event_id, pos from event_ids where event_id = any($1)',
      [touched.eventIds],
    )
    for (const { event_id, pos } of rows) state.positions.set(event_id, pos)
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

/** Whether an event of ours is sticky in the room at `now` (ms since the epoch). */
export async function hasSticky(db: Db, room: number, now: number): Promise<boolean> {
  const { rows } = await db.query<{ has: boolean }>(
    'select exists (select 1 from sticky where room = $1 and expires_at > $2) as has',
    [room, now],
  )
  return rows[0]?.has === true
}

async function freshIds(db: Db, table: 'rooms' | 'destinations', count: number): Promise<number[]> {
  if (count === 0) return []
  const { rows } = await db.query<{ id: number }>(FRESH_IDS[table], [count])
  return rows.map(({ id }) => id)
}
