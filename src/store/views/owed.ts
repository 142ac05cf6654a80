/**
 * SQL for everything that one destination is still owed: PDUs of timeline and catch-up, what is apart (`delivery/apart.ts`), and unexpired
 * sticky events in any lane. A room that waits has a cursor of its own, and is owed what comes after that.
 *
 * The planner asks page by page; here everything is asked at once, from the rows alone (their meaning is in
 * `migrations/0001_limpet.sql`). Each room is searched by itself through the index on (room, pos), so that the cost
 * grows with the destination's rooms and with the limit, not with the log. Every statement has the destination's id as
 * `$1` and starts with `with ${SUBJECT}`.
 */
import { entitled, entitledAsMember, memberAt, sentSince } from '../entitled.ts'

const MEMBER_GETS = entitledAsMember('$1')
const IN_ROOM_THEN = memberAt('$1')

// `after`: real time goes on behind an open gap, and `least_after` from where a room that waits is farthest behind; least() skips nulls, as it has
// to. `done`: what a replay brought already, or is apart. `waits`: rooms that wait; `resting`: what is tried again at its own time.
export const SUBJECT = `
  aside as materialized (
    select a.pos, a.room, a.lane, a.grp is null as rests from apart a where a.destination = $1
  ), waits as materialized (
    select w.room, w.cursor, w.held_since from waiting_rooms w where w.destination = $1
  ), d as materialized (
    select d.id, d.position, g.from_pos, g.to_pos, greatest(g.cursor, d.position) as cursor, coalesce(g.to_pos, d.position) as after,
           least(d.position, w.cursor) as least_position, least(coalesce(g.to_pos, d.position), w.cursor) as least_after
      from destinations d left join gaps g on g.destination = d.id and g.closed_at is null
     cross join (select min(cursor) as cursor from waits) w
     where d.id = $1
  ), done as materialized (
    select p.pos from replays p, d where p.destination = $1 and p.state = 'sent' and p.pos > d.least_position
    union all
    select pos from aside
  ), named as materialized (
    select r.id from recipients r, d where $1 = any(r.list) and r.head > d.least_position
  )`

const NOT_WAITING = (room: string) => `${room} not in (select room from waits)`

/** A condition on rows `x` (room, pos) of what is owed: it does not go with the next transactions, but is tried again at its own time. */
export const RESTS = `(x.pos in (select pos from aside where rests) or x.room in (select room from waits where held_since is not null))`

// Of a gap: in the log, and in what was kept of it (something may be in both).
type Table = 'events' | 'kept_events'
const newestIn = (table: Table) => `
       (select e.pos from ${table} e left join recipients r on r.id = e.recipients
         where e.room = m.room and e.pos > greatest(m.since, d.from_pos) and e.pos <= least(m.until, d.to_pos)
           and ${MEMBER_GETS}
         order by e.pos desc limit 1)`
const addressedIn = (table: Table, order: 'asc' | 'desc') => `
     (select e.room, e.pos from ${table} e
       where e.recipients is not null and e.pos > d.cursor and e.pos <= d.to_pos and e.recipients in (select id from named)
         and e.pos not in (select pos from done) and ${NOT_WAITING('e.room')} and not ${IN_ROOM_THEN}
       order by e.pos ${order} limit $2)`

/**
 * Rows (room, pos, lane) of what is owed in stream order (lane `a`: it is apart): `$1` the destination, `$2` the most rows of one
 * room and kind. `order` says which ones of a room are kept where there are more.
 */
export const owedPdus = (order: 'asc' | 'desc') => `
  select m.room, e.pos, 't' as lane
    from d join memberships m on m.destination = $1 and (m.until is null or m.until > d.least_after)
    left join waits w on w.room = m.room
   cross join lateral (
     select e.pos from events e left join recipients r on r.id = e.recipients
      where e.room = m.room and e.pos > greatest(m.since, coalesce(w.cursor, d.after)) and (m.until is null or e.pos <= m.until)
        and ${MEMBER_GETS} and e.pos not in (select pos from done)
      order by e.pos ${order} limit $2) e
  union all
  select e.room, e.pos, 't'
    from d cross join lateral (
     select e.room, e.pos from events e
      where e.recipients is not null and e.pos > d.least_after and e.recipients in (select id from named)
        and e.pos > coalesce((select w.cursor from waits w where w.room = e.room), d.after)
        and e.pos not in (select pos from done) and not ${IN_ROOM_THEN}
      order by e.pos ${order} limit $2) e
  union all
  select room, pos, 'a' from (select a.room, a.pos from aside a where a.lane <> 's' order by a.pos ${order} limit $2) a
  union all
  select * from (
    select m.room, max(e.pos) as pos, 'c'
      from d join memberships m on m.destination = $1 and m.since < d.to_pos and (m.until is null or m.until > d.from_pos)
     cross join lateral (${newestIn('events')} union all ${newestIn('kept_events')}) e
     group by m.room) newest
   where newest.pos > (select cursor from d) and newest.pos not in (select pos from done) and ${NOT_WAITING('newest.room')}
  union all
  select distinct e.room, e.pos, 'c'
    from d cross join lateral (${addressedIn('events', order)} union all ${addressedIn('kept_events', order)}) e`

/** Rows (room, pos), each position once: unexpired sticky events owed by a join, a gap, an answer that did not list them, or the timeline. */
export const OWED_STICKY = `
  select s.room, s.pos
    from sticky_owed o join sticky s on s.room = o.room and s.pos > o.cursor and s.pos <= o.upto
   where o.destination = $1 and o.room is not null and s.expires_at > (select now_ms())
     and exists (select 1 from memberships m where m.room = o.room and m.destination = $1 and m.until is null)
     and not ${sentSince('$1', 's.pos', 'o.upto')}
  union
  select s.room, s.pos
    from sticky_owed o join memberships m on m.destination = $1 and m.until is null
    join sticky s on s.room = m.room and s.pos > greatest(o.after_pos, o.cursor) and (o.upto is null or s.pos <= o.upto)
    join events e on e.pos = s.pos left join recipients r on r.id = e.recipients
   where o.destination = $1 and o.room is null and s.expires_at > (select now_ms())
     and ${entitled('$1')}
     and s.pos not in (select p.pos from replays p where p.destination = $1 and p.state = 'sent')
  union
  select s.room, s.pos from replays p join sticky s on s.pos = p.pos
    join memberships m on m.room = s.room and m.destination = $1 and m.until is null
   where p.destination = $1 and p.state = 'unlisted' and s.expires_at > (select now_ms())
  union
  select s.room, s.pos
    from d join sticky s on s.pos > d.least_after and s.pos > coalesce((select w.cursor from waits w where w.room = s.room), d.after)
    join events e on e.pos = s.pos left join recipients r on r.id = e.recipients
   where s.expires_at > (select now_ms()) and s.pos not in (select pos from done)
     and ${entitled('$1')}
  union
  select a.room, a.pos
    from aside a join sticky s on s.pos = a.pos
   where s.expires_at > (select now_ms())
     and (a.lane <> 's' or exists (select 1 from memberships m where m.room = a.room and m.destination = $1 and m.until is null))`
