/**
 * What one destination is still owed, counted exactly up to a cap: PDUs of timeline and catch-up, and
 * unexpired sticky events in any lane.
 *
 * Two questions the planner asks page by page are asked here for everything at once, from the rows alone
 * (README of the schema: `migrations/0001_limpet.sql`). Each room is probed by itself through the index on
 * (room, pos), so that the cost grows with the destination's rooms and with `cap`, not with the log.
 */
import type { Db } from '../db.ts'
import type { Page, Paged } from './page.ts'

/** In the room at that position, and not left out by `to` or `not_to`. */
const MEMBER_GETS = `(r.id is null or $1 = any(r.list) or (not r.exact and not $1 = any(r.less)))`

/** A membership interval of the destination covers the event `e`. */
const IN_ROOM_THEN = `exists (select 1 from memberships i where i.room = e.room and i.destination = $1
                               and i.since < e.pos and (i.until is null or e.pos <= i.until))`

// `after`: real time goes on behind an open gap. `done`: what a replay brought already.
const SUBJECT = `
  d as materialized (
    select d.id, d.position, g.from_pos, g.to_pos, g.cursor, coalesce(g.to_pos, d.position) as after
      from destinations d left join gaps g on g.destination = d.id and g.closed_at is null
     where d.id = $1
  ), done as materialized (
    select p.pos from replays p, d where p.destination = $1 and p.state = 'sent' and p.pos > d.position
  ), named as materialized (
    select r.id from recipients r, d where $1 = any(r.list) and r.head > d.position
  )`

/**
 * Rows (room, pos, lane) of what is owed in stream order: `$1` the destination, `$2` the most rows of one
 * room and kind. `order` says which ones of a room are kept where there are more.
 */
const owedPdus = (order: 'asc' | 'desc') => `
  select m.room, e.pos, 't' as lane
    from d join memberships m on m.destination = $1 and (m.until is null or m.until > d.after)
   cross join lateral (
     select e.pos from events e left join recipients r on r.id = e.recipients
      where e.room = m.room and e.pos > greatest(m.since, d.after) and (m.until is null or e.pos <= m.until)
        and ${MEMBER_GETS} and e.pos not in (select pos from done)
      order by e.pos ${order} limit $2) e
  union all
  select e.room, e.pos, 't'
    from d cross join lateral (
     select e.room, e.pos from events e
      where e.recipients is not null and e.pos > d.after and e.recipients in (select id from named)
        and e.pos not in (select pos from done) and not ${IN_ROOM_THEN}
      order by e.pos ${order} limit $2) e
  union all
  select * from (
    select m.room, max(e.pos) as pos, 'c'
      from d join memberships m on m.destination = $1 and m.since < d.to_pos and (m.until is null or m.until > d.from_pos)
     cross join lateral (
       select e.pos from events e left join recipients r on r.id = e.recipients
        where e.room = m.room and e.pos > greatest(m.since, d.from_pos) and e.pos <= least(m.until, d.to_pos)
          and ${MEMBER_GETS}
        order by e.pos desc limit 1) e
     group by m.room) newest
   where newest.pos > (select cursor from d) and newest.pos not in (select pos from done)
  union all
  select e.room, e.pos, 'c'
    from d cross join lateral (
     select e.room, e.pos from events e
      where e.recipients is not null and e.pos > d.cursor and e.pos <= d.to_pos and e.recipients in (select id from named)
        and e.pos not in (select pos from done) and not ${IN_ROOM_THEN}
      order by e.pos ${order} limit $2) e`

/** Rows (room, pos), each position once: unexpired sticky events owed by a join, a gap, an answer that did not list them, or the timeline. */
const OWED_STICKY = `
  select s.room, s.pos
    from sticky_owed o join sticky s on s.room = o.room and s.pos > o.cursor and s.pos <= o.upto
   where o.destination = $1 and o.room is not null and s.expires_at > (select now_ms())
     and exists (select 1 from memberships m where m.room = o.room and m.destination = $1 and m.until is null)
     and not exists (select 1 from replays p where p.destination = $1 and p.pos = s.pos and p.state = 'sent'
                        and p.listed_at >= o.upto)
  union
  select s.room, s.pos
    from sticky_owed o join memberships m on m.destination = $1 and m.until is null
    join sticky s on s.room = m.room and s.pos > greatest(o.after_pos, o.cursor) and (o.upto is null or s.pos <= o.upto)
    join events e on e.pos = s.pos left join recipients r on r.id = e.recipients
   where o.destination = $1 and o.room is null and s.expires_at > (select now_ms())
     and ($1 = any(r.list) or (${IN_ROOM_THEN} and ${MEMBER_GETS}))
     and s.pos not in (select p.pos from replays p where p.destination = $1 and p.state = 'sent')
  union
  select s.room, s.pos from replays p join sticky s on s.pos = p.pos
   where p.destination = $1 and p.state = 'unlisted' and s.expires_at > (select now_ms())
  union
  select s.room, s.pos
    from d join sticky s on s.pos > d.after join events e on e.pos = s.pos left join recipients r on r.id = e.recipients
   where s.expires_at > (select now_ms()) and s.pos not in (select pos from done)
     and ($1 = any(r.list) or (${IN_ROOM_THEN} and ${MEMBER_GETS}))`

const COUNT_PENDING = `
  with ${SUBJECT}
  select (select count(*) from (select 1 from (${owedPdus('asc')}) p limit $2) n) as pdus,
         (select count(*) from (select 1 from (${OWED_STICKY}) s limit $2) n) as sticky`

const OLDEST_PENDING = `
  with ${SUBJECT}
  select e.received_ts as oldest from events e where e.pos = (select min(p.pos) from (${owedPdus('asc')}) p)`

export interface Pending {
  /** At most the cap. */
  pdus: number
  sticky: number
  /** There are more PDUs or sticky events than the cap. */
  capped: boolean
  /** When the oldest owed PDU was received, ms since the epoch. */
  oldest: number | null
}

/** Counts what a destination is owed, each kind exactly up to `cap`. */
export async function countPending(db: Db, destination: number, cap: number): Promise<Pending> {
  const { rows } = await db.query<{ pdus: number; sticky: number }>(COUNT_PENDING, [destination, cap + 1])
  const { pdus, sticky } = rows[0] ?? { pdus: 0, sticky: 0 }
  const oldest =
    pdus === 0 ? undefined : (await db.query<{ oldest: number }>(OLDEST_PENDING, [destination, 1])).rows[0]
  return {
    pdus: Math.min(pdus, cap),
    sticky: Math.min(sticky, cap),
    capped: pdus > cap || sticky > cap,
    oldest: oldest?.oldest ?? null,
  }
}

/** Positions of the unexpired sticky events that a destination is owed in any lane, in stream order. */
export async function owedStickyPositions(db: Db, destination: number): Promise<number[]> {
  const { rows } = await db.query<{ pos: number }>(
    `with ${SUBJECT} select s.pos from (${OWED_STICKY}) s order by s.pos`,
    [destination],
  )
  return rows.map(({ pos }) => pos)
}

const NEXT_UNLISTED = `
  select min(p.next_at) as at from replays p join sticky s on s.pos = p.pos
   where p.destination = $1 and p.state = 'unlisted' and s.expires_at > (select now_ms())`

/** When the soonest sticky event that an answer did not list is sent again (ms since the epoch), or null. */
export async function nextUnlisted(db: Db, destination: number): Promise<number | null> {
  return (await db.query<{ at: number | null }>(NEXT_UNLISTED, [destination])).rows[0]?.at ?? null
}

// Catch-up has one newest PDU a room; what was addressed to the destination is beside that.
const COUNT_GAP_ROOMS = `
  with ${SUBJECT} select count(distinct p.room) as n from (${owedPdus('desc')}) p where p.lane = 'c'`

/** In how many rooms an open gap still has something to send. */
export async function countGapRooms(db: Db, destination: number): Promise<number> {
  const { rows } = await db.query<{ n: number }>(COUNT_GAP_ROOMS, [destination, 1])
  return rows[0]?.n ?? 0
}

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

/** Rooms in which a destination is owed something; a room's count stops at `cap`. */
export async function pendingRooms(
  db: Db,
  destination: number,
  { cap, ...page }: Page<(typeof ROOM_ORDERS)[number]> & { cap: number },
): Promise<Paged<PendingRoom>> {
  const way = page.dir === 'f' ? 'asc' : 'desc'
  const { rows } = await db.query<Paged<PendingRoom>>(
    `${PENDING_ROOMS}
     select (select count(*) from owing) as total,
            (select coalesce(json_agg(p), '[]') from (
               select * from owing order by ${page.orderBy} ${way}, room_id ${way} limit $3 offset $4) p) as rows`,
    [destination, cap, page.limit, page.from],
  )
  return rows[0] ?? { rows: [], total: 0 }
}
