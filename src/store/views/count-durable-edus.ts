/** How many durable EDUs wait for a destination? Counted up to a cap, from the rows alone. */
import type { Db } from '../db.ts'
import { heldAt } from '../entitled.ts'
import { sql } from '../statement.ts'

// What waits and is not over. $1 destinations, $2 the most rows of each, $3 received after this: what is older is kept no more.
const WAITS = `e.durable and e.pos > d.durable_pos and (e.expires_at is null or e.expires_at > (select now_ms())) and e.received_ts > $3`

// List by list, through their index; of what rooms have a window, as it is read to be sent: where that is full, there may be more. What is apart is past the
// cursor, and owed all the same. Each destination by itself: they are at places far from each other.
const COUNT = sql(
  'count the durable EDUs that it is owed',
  `with them as materialized (
    select d.id, d.durable_pos from destinations d where d.id = any($1::int[])
  )
  select d.id, l.n + r.n + a.n as n, r.more
    from them d
   cross join lateral (
     select count(*) as n from (
       select from recipients r cross join lateral (
         select from edus e where e.recipients is not null and e.recipients = r.id and ${WAITS} limit $2) x
        where r.list @> array[d.id] and r.durable_head > d.durable_pos limit $2) listed) l
   cross join lateral (
     with w as materialized (
       select e.pos, e.room, e.rooms from edus e where e.recipients is null and ${WAITS} order by e.pos limit $2
     ), m as materialized (
       select m.room, m.since, m.until from memberships m where m.destination = d.id and (m.until is null or m.until > d.durable_pos)
     ), inside as (
       select w.pos from w join m on m.room = w.room where ${heldAt('w.pos')}
       union
       select w.pos from w join edu_rooms s on s.id = w.rooms cross join lateral unnest(s.rooms) x (room) join m on m.room = x.room
        where ${heldAt('w.pos')}
     )
     select (select count(*) from inside) as n, (select count(*) from w) >= $2 as more) r
   cross join lateral (
     select count(*) as n from (select from edus_apart x where x.destination = d.id limit $2) x) a`,
)

export interface DurableEdus {
  /** At most the cap; what is set aside is among them. */
  count: number
  /** There are more, or it is not known whether. */
  capped: boolean
}

interface Bounds {
  cap: number
  /** Ms since the epoch. */
  now: number
  /** What came longer ago is kept for nobody. */
  durableMs: number
}

export async function countDurableEdus(db: Db, destination: number, bounds: Bounds): Promise<DurableEdus> {
  const counts = await countDurableEdusOf(db, [destination], bounds)
  return counts.get(destination) ?? { count: 0, capped: false }
}

/** Of each destination by its id. For a page of them the cap has to be small. */
export async function countDurableEdusOf(
  db: Db,
  ids: readonly number[],
  { cap, now, durableMs }: Bounds,
): Promise<Map<number, DurableEdus>> {
  if (ids.length === 0) return new Map()
  const values = [ids, cap + 1, now - durableMs]
  const { rows } = await db.query<{ id: number; n: number; more: boolean }>(COUNT, values)
  return new Map(rows.map(({ id, n, more }) => [id, { count: Math.min(n, cap), capped: n > cap || more }]))
}
