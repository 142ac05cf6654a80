/** In which rooms is one destination owed something, and how much? */
import type { Db } from '../db.ts'
import { OWED_STICKY, owedPdus, SUBJECT } from './owed.ts'
import type { Page, Paged } from './page.ts'
import { variants } from '../statement.ts'

const PENDING_ROOMS = `
  with ${SUBJECT}, pdus as (
    select p.room, least(count(*), $2) as n, max(p.pos) as latest from (${owedPdus('desc')}) p group by p.room
  ), stickies as (
    select s.room, count(*) as n, max(s.pos) as latest from (${OWED_STICKY}) s group by s.room
  ), owing as materialized (
    select r.room_id, coalesce(p.n, 0) as pending_pdus, greatest(p.latest, s.latest) as latest_position,
           coalesce(s.n, 0) as pending_sticky
      from pdus p full join stickies s on s.room = p.room join rooms r on r.id = coalesce(p.room, s.room)
  )`

export interface PendingRoom {
  room_id: string
  pending_pdus: number
  latest_position: number
  pending_sticky: number
}

export const ROOM_ORDERS = ['room_id', 'pending_pdus', 'latest_position', 'pending_sticky'] as const

const selectPage = variants('list the rooms with something owed')

/** Rooms in which a destination is owed something; a room's count stops at `cap`. */
export async function pendingRooms(
  db: Db,
  destination: number,
  { cap, ...page }: Page<(typeof ROOM_ORDERS)[number]> & { cap: number },
): Promise<Paged<PendingRoom>> {
  const way = page.dir === 'f' ? 'asc' : 'desc'
  const { rows } = await db.query<Paged<PendingRoom>>(
    selectPage(`${PENDING_ROOMS}
     select (select count(*) from owing) as total,
            (select coalesce(json_agg(p), '[]') from (
               select * from owing order by ${page.orderBy} ${way}, room_id ${way} limit $3 offset $4) p) as rows`),
    [destination, cap, page.limit, page.from],
  )
  return rows[0] ?? { rows: [], total: 0 }
}
