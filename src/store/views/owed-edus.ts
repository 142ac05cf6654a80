/**
 * SQL: who is owed a durable EDU, so that it is not idle? For states, which are told of all destinations at once: a glance at the heads of lists, and at the newest of what
 * rooms have. How many EDUs wait is counted elsewhere, for a page of destinations (`count-durable-edus.ts`).
 *
 * Those for whom it can't be said, as more came of rooms than is looked at, are left out: a sweep has them looked at (`delivery/behind-in-edus.ts`), and what
 * they are owed is then found. One that has waited for a turn for so long is seen by its lists, or by what came last.
 */
import { HEADS_OF_ROOMS } from '../delivery/behind-in-edus.ts'

/** Durable EDUs of rooms that are looked at. */
const NEWEST = 500

/** Ids, each once. */
export const OWED_DURABLE_EDUS = `
  (with late as materialized (
    select d.id, d.durable_pos from destinations d cross join stream s where d.durable_pos < s.durable_head
  ), newest as materialized (
    select e.pos, e.room, e.rooms from edus e
     where e.durable and e.recipients is null and e.pos > (select min(durable_pos) from late) order by e.pos desc limit ${NEWEST}
  ), ${HEADS_OF_ROOMS}
  select l.id from recipients r cross join lateral unnest(r.list) x (id) join late l on l.id = x.id and l.durable_pos < r.durable_head
   where r.durable_head > (select min(durable_pos) from late)
  union
  select l.id from heads h join memberships m on m.room = h.room and h.pos > m.since join late l on l.id = m.destination
   where l.durable_pos < h.pos and (m.until is null or m.until > l.durable_pos)
  union
  select x.destination from edus_apart x)`
