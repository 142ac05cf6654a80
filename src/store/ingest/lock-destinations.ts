/**
 * Which destinations do some items concern beyond the stream itself? Their rows are locked before anything of theirs
 * is written.
 *
 * A turn that writes down an answer locks the destination's row first and then its other rows, for one destination or
 * for many in the order of ids. Ingest writes some of those other rows too: join replays, advice, whether open
 * transactions are void, and that something was taken away (by a trigger on memberships). So ingest locks in the same
 * order, once, for everything that it is going to write. Two that lock in different orders would wait for each other,
 * which costs all who wait a second and one of the two its work.
 */
import type { Db } from '../db.ts'
import { IN_ORDER } from '../held.ts'
import { sql } from '../statement.ts'

export interface Concerned {
  /** Destinations to be advised if they are failing. */
  advised: readonly number[]
  /** Rooms in which servers join or leave, and rooms that are forgotten. */
  rooms: readonly number[]
  /** Rooms that are forgotten. */
  purged: readonly number[]
  /** Destinations that leave a room, or whose open transaction holds a text that goes. */
  losing: readonly number[]
}

// No row of these kinds can come up afterwards: joins are ours alone, and freezes wait for the content lock.
const LOCK = sql(
  'lock the destinations concerned',
  `select d.id from destinations d
   where d.id in (
     select id from destinations
      where id = any($1) and (failures > 0 or hold_until is not null)
     union
     select destination from sticky_owed where room = any($2)
     union
     select unnest($4::int[])
     union
     select destination from memberships where room = any($3) and until is null
     union
     select p.destination from events e join replays p on p.pos = e.pos where e.room = any($3)
   ) ${IN_ORDER}`,
)

/** Locks them until the commit, and returns those that are locked. Content that goes: hold the content lock. */
export async function lockDestinations(db: Db, concerned: Concerned): Promise<ReadonlySet<number>> {
  const { advised, rooms, purged, losing } = concerned
  if (advised.length + rooms.length + purged.length + losing.length === 0) return new Set()
  const { rows } = await db.query<{ id: number }>(LOCK, [advised, rooms, purged, losing])
  return new Set(rows.map(({ id }) => id))
}
