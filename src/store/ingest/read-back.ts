/**
 * Reads back what ingest was told: a producer compares its rooms with ours by digests, and finds its own place.
 *
 * Counts and digests are of the remote servers that are in the room now. Each function is one statement, so its result
 * is consistent.
 */
import type { Db } from '../db.ts'
import type { Page, Paged } from '../views/page.ts'
import { sql, variants } from '../statement.ts'

/** By which fields rooms can be listed. */
export const ROOM_LIST_ORDERS = ['room_id', 'room_version', 'head'] as const
export type RoomListOrder = (typeof ROOM_LIST_ORDERS)[number]

export interface RoomSummary {
  room_id: string
  /** Null: no event of it has come yet. */
  room_version: string | null
  /** Position of its newest event; 0: none. */
  head: number
  servers: number
  /** Unpadded base64 of SHA-256 over the servers' names, sorted by code point and joined by newlines. */
  digest: string
}

// The collation C sorts UTF-8 by bytes, which is the order of code points.
const SUMMARY = `
  select r.room_id, r.room_version, r.head, s.servers,
         rtrim(encode(sha256(convert_to(s.names, 'UTF8')), 'base64'), '=') as digest
    from picked r
    cross join lateral (
      select count(*)::int as servers, coalesce(string_agg(d.name, e'\\n' order by d.name collate "C"), '') as names
        from memberships m join destinations d on d.id = m.destination
       where m.room = r.id and m.until is null
    ) s`

const COUNT = sql('count the rooms', 'select count(*) as total from rooms')

const selectPage = variants('list the rooms')

/** One page of the rooms that ingest was told of. */
export async function listRooms(db: Db, page: Page<RoomListOrder>): Promise<Paged<RoomSummary>> {
  const dir = page.dir === 'f' ? 'asc' : 'desc'
  const field = page.orderBy === 'head' ? 'head' : `${page.orderBy} collate "C"`
  const { rows } = await db.query<RoomSummary>(
    selectPage(`with picked as materialized (
       select id, room_id, room_version, head from rooms order by ${field} ${dir}, id ${dir} offset $1 limit $2
     ) ${SUMMARY} join rooms o on o.id = r.id order by o.${field} ${dir}, o.id ${dir}`),
    [page.from, page.limit],
  )
  const { rows: counted } = await db.query<{ total: number }>(COUNT)
  return { rows, total: counted[0]?.total ?? 0 }
}

const ONE = sql(
  'read a room',
  `with picked as (select id, room_id, room_version, head from rooms where room_id = $1)
     select x.*, coalesce(
              (select array_agg(d.name order by d.name collate "C")
                 from picked p join memberships m on m.room = p.id and m.until is null
                 join destinations d on d.id = m.destination), '{}') as names
       from (${SUMMARY}) x`,
)

/** One room with the names of its servers, sorted; null: ingest was never told of it. */
export async function roomByName(
  db: Db,
  roomId: string,
): Promise<(RoomSummary & { names: string[] }) | null> {
  const { rows } = await db.query<RoomSummary & { names: string[] }>(ONE, [roomId])
  return rows[0] ?? null
}

const PLACE = sql(
  'read the place of a source',
  'select head as position, (select source_token from sources where source = $1) as token from stream',
)

/** How far the stream is, and the token that a producer stored last (null: none yet). */
export async function sourcePosition(
  db: Db,
  source: string,
): Promise<{ position: number; sourceToken: string | null }> {
  const { rows } = await db.query<{ position: number; token: string | null }>(PLACE, [source])
  const row = rows[0]
  return { position: row?.position ?? 0, sourceToken: row?.token ?? null }
}
