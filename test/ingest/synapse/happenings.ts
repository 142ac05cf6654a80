/** What happens to a room of Synapse's as a whole, in its tables: deleted by the admin API, joined again, joined fast. */
import type { SynapseTables } from './tables.ts'

const TABLES = [
  ...['event_json', 'event_auth', 'room_memberships', 'current_state_events', 'partial_state_rooms_servers'],
  ...['state_groups_state', 'events', 'rooms'],
]

/** The last local user leaves at `at` (an event that is deleted with the rest), and the room is purged. */
export async function deleteRoom({ pool, room }: SynapseTables, at: number): Promise<void> {
  await pool.query(
    `insert into current_state_delta_stream
       select $1, room_id, type, state_key, null, event_id, 'master' from current_state_events where room_id = $2`,
    [at, room],
  )
  await pool.query(
    'delete from event_to_state_groups where event_id in (select event_id from events where room_id = $1)',
    [room],
  )
  for (const table of TABLES) await pool.query(`delete from ${table} where room_id = $1`, [room])
}

/** Joined (again) through another server at `at`: its create event and its members come as outliers. */
export async function joinRoom(
  { pool, room }: SynapseTables,
  { at, members }: { at: number; members: readonly string[] },
): Promise<void> {
  await pool.query('insert into rooms (room_id, room_version) values ($1, $2) on conflict do nothing', [
    room,
    '11',
  ])
  await stateEvent(pool, { room, at: at - members.length - 1, type: 'm.room.create', key: '', deltaAt: at })
  for (const [i, key] of members.entries())
    await stateEvent(pool, { room, at: at - members.length + i, type: 'm.room.member', key, deltaAt: at })
}

/** From now on its state is partial; these servers are in it. */
export async function beginPartial({ pool, room }: SynapseTables, servers: readonly string[]): Promise<void> {
  await pool.query('insert into partial_state_rooms_servers select $1, unnest($2::text[])', [room, servers])
}

/** The members that were missing are known, and come into the current state at `at`. `states`: whose states are whole now. */
export async function completeState(
  { pool, room }: SynapseTables,
  { at, members, states = [] }: { at: number; members: readonly string[]; states?: readonly string[] },
): Promise<void> {
  for (const [i, key] of members.entries())
    await stateEvent(pool, { room, at: -at * 100 - i, type: 'm.room.member', key, deltaAt: at })
  await pool.query(
    `insert into state_groups_state
       select 900 + $1, room_id, type, state_key, event_id from current_state_events where room_id = $2`,
    [at, room],
  )
  await haveState({ pool }, { at, states })
}

/** The state before and after each of these events is the one that became whole at `at`. */
export async function haveState(
  { pool }: Pick<SynapseTables, 'pool'>,
  { at, states }: { at: number; states: readonly string[] },
): Promise<void> {
  await pool.query('update event_to_state_groups set state_group = 900 + $1 where event_id = any($2)', [
    at,
    states,
  ])
}

/** The last step of a fast join. */
export async function endPartial({ pool, room }: SynapseTables): Promise<void> {
  await pool.query('delete from partial_state_rooms_servers where room_id = $1', [room])
}

async function stateEvent(
  pool: SynapseTables['pool'],
  e: { room: string; at: number; type: string; key: string; deltaAt: number },
): Promise<void> {
  const id = `$${e.type}_${e.key}_${e.deltaAt}`
  await pool.query(
    `insert into events (stream_ordering, topological_ordering, processed, event_id, room_id, sender, type, state_key, outlier)
     values ($1, 1, true, $2, $3, '@x:b.example', $4, $5, true)`,
    [e.at, id, e.room, e.type, e.key],
  )
  const member = e.type === 'm.room.member'
  if (member)
    await pool.query(`insert into room_memberships values ($1, $2, $2, $3, 'join')`, [id, e.key, e.room])
  await pool.query(`insert into current_state_delta_stream values ($1, $2, $3, $4, $5, null, 'master')`, [
    e.deltaAt,
    e.room,
    e.type,
    e.key,
    id,
  ])
  await pool.query('insert into current_state_events values ($1, $2, $3, $4, $5, $6)', [
    ...[id, e.room, e.type, e.key],
    member ? 'join' : null,
    e.at,
  ])
}
