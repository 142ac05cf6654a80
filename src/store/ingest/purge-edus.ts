/**
 * What a purge takes of EDUs: those that are not durable go with their room. Durable ones are owed to nobody any more by that room, as its memberships
 * go; so what was refused of them and tried again goes too, and what they were owed is counted. Their rows are found by no index that begins with
 * rooms: upkeep removes them (`upkeep/forget-edus.ts`), and an unanswered transaction with them stays as it is.
 */
import { heldAt } from '../entitled.ts'
import { sql } from '../statement.ts'

export const PURGE_EDUS = sql('purge EDUs', 'delete from edus where room = any($1) and not durable')

export const PURGE_EDUS_APART = sql(
  'purge the EDUs that are apart',
  'delete from edus_apart a using edus e where e.pos = a.pos and e.room = any($1)',
)

/** Newest durable EDUs of rooms that are counted: ingest waits meanwhile. */
const COUNTED = 500

// By pairs of EDU and destination: what of the rooms ($1) its servers had still to get, and have by no other room of its set; and what is apart.
export const COUNT_PURGED_EDUS = sql(
  'count the EDUs that a purge gives up',
  `with late as materialized (
    select m.room, m.destination, m.since, m.until, d.durable_pos from memberships m join destinations d on d.id = m.destination
     where m.room = any($1) and (m.until is null or m.until > d.durable_pos)
  ), newest as materialized (
    select e.pos, e.room, e.rooms from edus e
     where e.durable and e.recipients is null and e.pos > (select min(durable_pos) from late) order by e.pos desc limit ${COUNTED}
  ), its as (
    select n.pos, n.room, null::integer as rooms from newest n where n.room = any($1)
    union all
    select n.pos, x.room, n.rooms from newest n join edu_rooms s on s.id = n.rooms cross join lateral unnest(s.rooms) x (room)
     where x.room = any($1)
  ), pairs as (
    select m.destination, i.pos, min(i.room) as room from its i join late m on m.room = i.room and i.pos > m.durable_pos and ${heldAt('i.pos')}
     where not exists (
       select from edu_rooms s cross join lateral unnest(s.rooms) y (room) join memberships o on o.room = y.room and o.destination = m.destination
        where s.id = i.rooms and y.room <> all($1) and o.since < i.pos and (o.until is null or i.pos <= o.until))
     group by m.destination, i.pos
    union all
    select a.destination, a.pos, e.room from edus_apart a join edus e on e.pos = a.pos where e.room = any($1)
  )
  select room, count(*) as n from pairs group by room`,
)
