/**
 * SQL: who is owed a durable EDU of a room or of a set of rooms? For the sweep (`wake-lists.ts`), which has many destinations to ask about and little time.
 *
 * A room has no note of its newest durable EDU. So the newest of these EDUs are read, and looked at room by room. Who has not come past all that
 * were before them is said to be owed something: a turn that finds nothing moves its cursor to the head of the stream, so that it is woken in vain once
 * while as many come. To look through all of them at every sweep took seconds: they stay for a month, and each names every room of its user.
 */

/** Durable EDUs of rooms that are looked at: as many as fit into a moment of a sweep. */
export const NEWEST_DURABLE = 2_000

/** Of EDUs `newest`, the newest position of each room; a set of rooms is read once. */
export const HEADS_OF_ROOMS = `heads as materialized (
    select h.room, max(h.pos) as pos from (
      select n.room, n.pos from newest n where n.room is not null
      union all
      select unnest(s.rooms), n.pos from (select rooms, max(pos) as pos from newest where rooms is not null group by rooms) n join edu_rooms s on s.id = n.rooms
    ) h group by h.room
  )`

/** It may say too much, never too little. */
export const BEHIND_IN_DURABLE_EDUS = `
  (with newest as materialized (
    select e.pos, e.room, e.rooms from edus e
     where e.durable and e.recipients is null and e.pos > (select min(durable_pos) from destinations) order by e.pos desc limit ${NEWEST_DURABLE}
  ), ends as materialized (
    select max(n.pos) as last, case when count(*) = ${NEWEST_DURABLE} then min(n.pos) else 0 end as first from newest n
  ), ${HEADS_OF_ROOMS}
  select d.id from ends n join destinations d on d.durable_pos < n.first
  union
  select m.destination from heads h join memberships m on m.room = h.room and h.pos > m.since join destinations d on d.id = m.destination
   where d.durable_pos < h.pos and (m.until is null or m.until > d.durable_pos) and d.durable_pos < (select n.last from ends n))`
