/** How many durable EDUs wait for one destination? Counted up to a cap, from the rows alone. */
import type { Db } from '../db.ts'
import { heldAt } from '../entitled.ts'
import { sql } from '../statement.ts'

// What waits and is not over. $1 destination, $2 the most rows, $3 received after this: what is older is kept no more.
const WAITS = `e.durable and e.pos > d.durable_pos and (e.expires_at is null or e.expires_at > (select now_ms())) and e.received_ts > $3`

// List by list, through their index; of what rooms have a window, as it is read to be sent: where that is full, there may be more.
const COUNT = sql(
  'count the durable EDUs that it is owed',
  `with d as materialized (
    select d.id, d.durable_pos from destinations d where d.id = $1
  ), lists as materialized (
    select r.id from recipients r, d where r.list @> array[$1::integer] and r.durable_head > d.durable_pos
  ), listed as (
    select from lists l cross join d cross join lateral (
      select from edus e where e.recipients is not null and e.recipients = l.id and ${WAITS} limit $2) x
     limit $2
  ), w as materialized (
    select e.pos, e.room, e.rooms from edus e, d where e.recipients is null and ${WAITS} order by e.pos limit $2
  ), m as materialized (
    select m.room, m.since, m.until from memberships m, d where m.destination = $1 and (m.until is null or m.until > d.durable_pos)
  ), inside as (
    select w.pos from w join m on m.room = w.room where ${heldAt('w.pos')}
    union
    select w.pos from w join edu_rooms s on s.id = w.rooms cross join lateral unnest(s.rooms) x (room) join m on m.room = x.room
     where ${heldAt('w.pos')}
  )
  select (select count(*) from listed) + (select count(*) from inside) as n, (select count(*) from w) >= $2 as more`,
)

export interface DurableEdus {
  /** At most the cap. */
  count: number
  /** There are more, or it is not known whether. */
  capped: boolean
}

/** `durableMs`: what came longer ago is kept for nobody. */
export async function countDurableEdus(
  db: Db,
  destination: number,
  { cap, now, durableMs }: { cap: number; now: number; durableMs: number },
): Promise<DurableEdus> {
  const { rows } = await db.query<{ n: number; more: boolean }>(COUNT, [
    destination,
    cap + 1,
    now - durableMs,
  ])
  const { n = 0, more = false } = rows[0] ?? {}
  return { count: Math.min(n, cap), capped: n > cap || more }
}
