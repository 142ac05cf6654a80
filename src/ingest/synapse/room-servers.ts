/**
 * Which servers were in a room's current state at a position of Synapse's event stream, and with how many users?
 *
 * Synapse keeps the current state as it is now, and a record of its changes. Taking back the changes after the
 * position gives the state at it. This is one statement, and so one snapshot. It reads every member of the room.
 *
 * When a partial state becomes complete (the end of a fast join, MSC3706), the missing members come as changes too,
 * although they were in the room all the time. So the servers that come after the position are named as well.
 */
import type { Db } from '../../store/db.ts'
import { planned } from './planned.ts'

/** Joined users by server, of one room; 0: none at the position, but there are some by now. */
export type Joined = Map<string, number>

const SELECT_JOINED = planned(
  'who was joined at the place',
  `with later as (
    select distinct on (room_id, state_key) room_id, state_key, prev_event_id
      from current_state_delta_stream
     where stream_id > $1 and room_id = any($2) and type = 'm.room.member'
     order by room_id, state_key, stream_id
  ), joined as (
    select c.room_id, c.state_key, true as at
      from current_state_events c
     where c.room_id = any($2) and c.type = 'm.room.member' and c.membership = 'join'
       and not exists (select from later l where l.room_id = c.room_id and l.state_key = c.state_key)
     union all
    select l.room_id, l.state_key, true
      from later l join room_memberships m on m.event_id = l.prev_event_id
     where m.membership = 'join'
     union all
    select c.room_id, c.state_key, false
      from later l join current_state_events c
        on c.room_id = l.room_id and c.type = 'm.room.member' and c.state_key = l.state_key
     where c.membership = 'join'
  )
  select room_id, substr(state_key, strpos(state_key, ':') + 1) as server, count(*) filter (where at) as users
    from joined group by 1, 2`,
)

// While a room is joined with partial state (MSC3706), its members are not known, but the servers at the join are.
const SELECT_PARTIAL = planned(
  'who is in partial rooms',
  `select room_id, server_name as server from partial_state_rooms_servers where room_id = any($1)`,
)

/** The joined users of each of `rooms` after everything up to `at`, by server (0: they come later); other servers than `serverName` only. */
export async function readJoined(
  db: Db,
  { rooms, at, serverName }: { rooms: readonly string[]; at: number; serverName: string },
): Promise<Map<string, Joined>> {
  const found = new Map<string, Joined>(rooms.map((room) => [room, new Map()]))
  if (rooms.length === 0) return found
  const { rows } = await db.query<{ room_id: string; server: string; users: number }>(SELECT_JOINED, [
    at,
    rooms,
  ])
  for (const row of rows) if (row.server !== serverName) found.get(row.room_id)?.set(row.server, row.users)
  return found
}

/** Of `rooms`, those whose state is partial, with the servers that were in them when ours joined. */
export async function readPartialRooms(
  db: Db,
  { rooms, serverName }: { rooms: readonly string[]; serverName: string },
): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>()
  if (rooms.length === 0) return found
  const { rows } = await db.query<{ room_id: string; server: string }>(SELECT_PARTIAL, [rooms])
  for (const { room_id, server } of rows) {
    const servers = found.get(room_id) ?? []
    found.set(room_id, servers)
    if (server !== serverName) servers.push(server)
  }
  return found
}
