/**
 * What retention does for a room that waits (contract 5.9): before a part of the log goes, the room is overtaken, as catch-up would do it (5.4).
 * The newest of what it missed there is taken out to be sent, and what was addressed to a server outside the room, which could not fetch it.
 *
 * Always: under the lock of the destination's row, and only where no process serves it.
 */
import type { Db } from '../db.ts'
import { addressedOutside, sent } from '../entitled.ts'
import { overtakeRoom } from '../delivery/rooms-that-wait.ts'
import { entitledIn, MEMBERSHIPS } from '../delivery/timeline.ts'
import { sql } from '../statement.ts'

const WAITING = sql(
  'which rooms that wait need it',
  'select destination, room, cursor from waiting_rooms where cursor < $1 order by destination, room',
)

export interface WaitingRoom {
  destination: number
  room: number
  cursor: number
}

/** Rooms that wait, and may have missed something up to the position `upto`. */
export const roomsThatNeed = async (db: Db, upto: number): Promise<WaitingRoom[]> =>
  (await db.query<WaitingRoom>(WAITING, [upto])).rows

// $1 destination, $2 after, $3 up to, $4 room.
const NEEDED = sql(
  'what does a room that waits need',
  `select e.pos from (
    select max(x.pos) as pos from memberships m cross join lateral (
      select e.pos ${entitledIn('events')} order by e.pos desc limit 1) x
     where ${MEMBERSHIPS} and m.room = $4
    union
    select e.pos from events e join recipients r on r.id = e.recipients
     where e.room = $4 and e.pos > $2 and e.pos <= $3 and ${addressedOutside('$1')}) e
   where e.pos is not null and not ${sent('$1', 'e.pos')}
   order by e.pos`,
)

/** The caller has locked the destination's row. */
export async function overtake(
  db: Db,
  { destination, room, cursor }: WaitingRoom,
  upto: number,
): Promise<void> {
  const { rows } = await db.query<{ pos: number }>(NEEDED, [destination, cursor, upto, room])
  await overtakeRoom(db, destination, { room, upto, positions: rows.map(({ pos }) => pos) })
}
