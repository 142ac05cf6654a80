/**
 * What becomes of a room that waits (`apart.ts`): it goes on with what it missed, a few at a time, or is overtaken, as catch-up would do it.
 *
 * Always: while its row is there no lane has anything of it, so nothing of it is sent twice, and nothing is passed.
 */
import type { Db } from '../db.ts'
import { addressedOutside, entitled, sent } from '../entitled.ts'
import { holding } from '../held.ts'
import { sql } from '../statement.ts'
import { NO_SUSPECT } from './apart.ts'
import type { Held } from './leases.ts'
import { entitledIn, MEMBERSHIPS } from './timeline.ts'

// $1 destination, $2 after, $3 up to, $4 room, $5 limit.
const NOT_THERE = `not ${sent('$1', 'e.pos')} and not exists (select 1 from apart a where a.destination = $1 and a.pos = e.pos)`
const REST = sql(
  'what a room has missed',
  `select x.pos from (
    select y.pos from memberships m cross join lateral (
      select e.pos ${entitledIn('events')} and ${NOT_THERE} order by e.pos limit $5) y
     where ${MEMBERSHIPS} and m.room = $4
    union
    (select e.pos from events e join recipients r on r.id = e.recipients
      where e.room = $4 and e.pos > $2 and e.pos <= $3 and ${addressedOutside('$1')} and ${NOT_THERE}
      order by e.pos limit $5)) x
   order by x.pos limit $5`,
)

/** Positions of the first that a room that waited has missed. */
export async function missedOf(
  db: Db,
  destination: number,
  room: number,
  range: { after: number; upto: number },
  limit: number,
): Promise<number[]> {
  if (range.upto <= range.after) return []
  const values = [destination, range.after, range.upto, room, limit]
  return (await db.query<{ pos: number }>(REST, values)).rows.map(({ pos }) => pos)
}

// $1 worker, $2 fence, $3 destination, $4 room, $5 cursor, $6 positions, $7 now, $8 whether it waits no more, $9 position. They go after all halves that there are.
const MOVE = sql(
  'a room goes on',
  `${holding('d.position = $9')}, those as (
    insert into apart (destination, pos, room, lane, grp, since, tries)
    select h.id, p.pos, $4, 't', (select coalesce(max(a.grp), 0) + 1 from apart a where a.destination = $3), $7, ${NO_SUSPECT}
      from held h, unnest($6::bigint[]) p (pos)
    on conflict (destination, pos) do nothing
  ), gone as (
    delete from waiting_rooms w using held h where w.destination = h.id and w.room = $4 and $8
  )
  update waiting_rooms w set cursor = greatest(w.cursor, $5) from held h where w.destination = h.id and w.room = $4 and not $8`,
)

/** How a room that waited goes on: these are taken out to be sent, and all of it up to `cursor` is sent or apart then; `ends`: it waits no more. */
export interface RoomMove {
  room: number
  cursor: number
  positions: readonly number[]
  ends: boolean
  /** The destination's. */
  position: number
}

/** The next of a room are taken out to be sent, up to `cursor`; or it waits no more. */
export async function moveRoom(
  db: Db,
  { worker, fence, destination }: Held,
  move: RoomMove,
  now: number,
): Promise<void> {
  const { room, cursor, positions, ends, position } = move
  await db.query(MOVE, [worker, fence, destination, room, cursor, positions, now, ends, position])
}

// $1 destination, $2 room, $3 up to, $4 positions. A room that is held keeps them with what was set aside of it.
const OVERTAKE = sql(
  'a room is overtaken',
  `with taken as (
    insert into apart (destination, pos, room, lane, grp, since, tries)
    select $1, p.pos, $2, 'c', case when w.held_since is null
           then coalesce((select max(a.grp) from apart a where a.destination = $1), 0) + 1 end, now_ms(), ${NO_SUSPECT}
      from waiting_rooms w, unnest($4::bigint[]) p (pos) where w.destination = $1 and w.room = $2
    on conflict (destination, pos) do nothing
  )
  update waiting_rooms set cursor = greatest(cursor, $3) where destination = $1 and room = $2`,
)

/** Of a room that waits only these are taken out, of all up to the position `upto` (contract 5.4). The caller has locked the destination's row. */
export async function overtakeRoom(
  db: Db,
  destination: number,
  { room, upto, positions }: { room: number; upto: number; positions: readonly number[] },
): Promise<void> {
  await db.query(OVERTAKE, [destination, room, upto, positions])
}

// $1 worker, $2 fence, $3 destination, $4 now. They have a deadline, and never held the room.
const STICKY = sql(
  'sticky events of held rooms go alone',
  `${holding()}
  insert into apart (destination, pos, room, lane, grp, since, next_at)
  select w.destination, s.pos, s.room, 't', null, $4, $4
    from held h join waiting_rooms w on w.destination = h.id and w.held_since is not null
    join sticky s on s.room = w.room and s.pos > w.cursor and s.expires_at > $4
    join events e on e.pos = s.pos left join recipients r on r.id = e.recipients
   where ${entitled('w.destination')} and not ${sent('w.destination', 's.pos')}
     and not exists (select 1 from apart a where a.destination = w.destination and a.pos = s.pos)
   order by s.pos
  on conflict (destination, pos) do nothing`,
)

/** What is sticky of rooms that are held is tried by itself. Returns whether anything is. */
export async function takeOutSticky(
  db: Db,
  { worker, fence, destination }: Held,
  now: number,
): Promise<boolean> {
  return ((await db.query(STICKY, [worker, fence, destination, now])).rowCount ?? 0) > 0
}
