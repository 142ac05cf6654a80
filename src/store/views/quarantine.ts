/** What is set aside of a destination, and which rooms are held (contract 5.9): a page at a time, and counted. */
import type { Db } from '../db.ts'
import { OF_ITS_ROOM, SET_ASIDE } from '../set-aside.ts'
import { sql, variants } from '../statement.ts'
import type { Page, Paged } from './page.ts'

/** Times are ms since the epoch. */
export interface QuarantineRow {
  /** `pdu-POSITION`, `edu-POSITION`, `room-NUMBER`: the same for as long as it is there. */
  id: string
  kind: 'pdu' | 'edu' | 'room'
  /** Null: a room, or its text left the log. */
  event_id: string | null
  room_id: string | null
  edu_type: string | null
  /** When it was set aside, or held. */
  since: number
  /** How often it was tried since. */
  tries: number
  next_try: number | null
  /** What was last answered; null: not known. */
  status: number | null
  message: string | null
}

export const QUARANTINE_ORDERS = ['since', 'next_try', 'tries', 'room_id', 'event_id', 'kind'] as const

const eventId = (table: 'events' | 'kept_events') => `select event_id from ${table} where pos = a.pos`

const ROWS = `
  with its as materialized (
    select 'pdu-' || a.pos as id, 'pdu' as kind, e.event_id, o.room_id, null as edu_type, a.since, a.tries, a.next_at as next_try,
           a.status, a.message
      from apart a join rooms o on o.id = a.room
      left join lateral (${eventId('events')} union all ${eventId('kept_events')} limit 1) e on true
     where a.destination = $1 and ${SET_ASIDE}
    union all
    select 'room-' || w.room, 'room', null, o.room_id, null, w.held_since, w.tries, w.next_at, l.status, l.message
      from waiting_rooms w join rooms o on o.id = w.room
      left join lateral (select a.status, a.message from apart a
                          where a.destination = w.destination and a.room = w.room and ${OF_ITS_ROOM} and a.message is not null
                          order by a.pos desc limit 1) l on true
     where w.destination = $1 and w.held_since is not null
    union all
    select 'edu-' || a.pos, 'edu', null, null, e.type, a.since, a.tries, a.next_at, a.status, a.message
      from edus_apart a left join edus e on e.pos = a.pos where a.destination = $1 and a.sure
  )`

const selectPage = variants('list what is set aside')

/** One page; `id` settles ties. */
export async function listQuarantine(
  db: Db,
  destination: number,
  page: Page<(typeof QUARANTINE_ORDERS)[number]>,
): Promise<Paged<QuarantineRow>> {
  const way = page.dir === 'f' ? 'asc' : 'desc'
  const { rows } = await db.query<Paged<QuarantineRow>>(
    selectPage(`${ROWS}
     select (select count(*) from its) as total,
            (select coalesce(json_agg(p), '[]') from (
               select * from its order by ${page.orderBy} ${way} nulls last, id ${way} limit $2 offset $3) p) as rows`),
    [destination, page.limit, page.from],
  )
  return rows[0] ?? { rows: [], total: 0 }
}

const COUNT = sql(
  'count what is set aside',
  `select (select count(*) from apart a where ${SET_ASIDE}) as pdus,
         (select count(*) from waiting_rooms where held_since is not null) as rooms,
         (select count(*) from edus_apart where sure) as edus`,
)

export interface QuarantineTotals {
  /** PDUs that are tried alone. */
  pdus: number
  /** Rooms that are held. */
  rooms: number
  /** EDUs that are tried alone. */
  edus: number
}

/** Of all destinations: each counts for itself. */
export async function countQuarantine(db: Db): Promise<QuarantineTotals> {
  return (await db.query<QuarantineTotals>(COUNT)).rows[0] ?? { pdus: 0, rooms: 0, edus: 0 }
}

const WHO = sql(
  'who has something apart',
  'select destination as id from apart union select destination from waiting_rooms order by 1',
)

/** Ids of the destinations that are owed something outside their lanes, in order. */
export async function findApart(db: Db): Promise<number[]> {
  return (await db.query<{ id: number }>(WHO)).rows.map(({ id }) => id)
}
