/**
 * What does a gap still owe? In each room with something missed the newest event to which the destination
 * is entitled inside the gap, and everything in it that was addressed to a server outside the room, which
 * could not fetch it (contract 5.4). In stream order, after the gap's cursor.
 *
 * The range is fixed and positions never change, so this set is the same at every look, and a cursor over
 * it is enough. What left the log meanwhile is read from what was kept of it, which holds all of the set.
 */
import type { Db } from '../db.ts'
import { addressedOutside, notApart, sent } from '../entitled.ts'
import { entitledIn, MEMBERSHIPS, fromText, textAt, type FoundRow, type StoredPdu } from './timeline.ts'
import { foundIn, textWithin, type Found, type Most } from '../within-bytes.ts'
import { sql } from '../statement.ts'

const newestIn = (table: Table) => `
     (select e.pos ${entitledIn(table)}
       order by e.pos desc limit 1)`

const addressedIn = (table: Table) => `
    select e.pos, e.room from ${table} e join recipients r on r.id = e.recipients
     where e.recipients is not null and e.pos > $2 and e.pos <= $3 and ${addressedOutside('$1')}`

type Table = 'events' | 'kept_events'

// $1 destination, $2 from (exclusive), $3 to (inclusive), $4 cursor, $5 limit (null: all). Something may be in both tables.
// What is sent already is left out after the newest was found: a room whose newest went as a replay is done.
const FOUND = `
  with newest as (
    select max(x.pos) as pos, m.room from memberships m
     cross join lateral (${newestIn('events')} union all ${newestIn('kept_events')}) x
     where ${MEMBERSHIPS}
     group by m.room
  ), addressed as (${addressedIn('events')} union all ${addressedIn('kept_events')}), owed as (
    select e.pos, e.room from (select pos, room from newest union select pos, room from addressed) e
     where e.pos > $4 and not ${sent('$1', 'e.pos')} and ${notApart('$1')}
     order by e.pos limit $5
  )`
const GAP_POSITIONS = sql('what does the gap need', `${FOUND} select pos from owed order by pos`)
// With their texts in one statement: that nothing more was found says that nothing more is owed, only if nothing that was
// found can go before its text is read.
const GAP_ROOMS = sql(
  'read the rooms of the gap',
  `${FOUND}
  select e.pos, e.event_id, ${textWithin('$6', 'e')} as pdu, e.received_ts, e.sticky, e.odd
    from owed cross join lateral ${textAt('owed.pos')} order by e.pos`,
)

const OF_ROOMS = sql(
  'what does the gap need of each room',
  `${FOUND} select pos, room from owed order by pos`,
)

export interface GapRange {
  from: number
  to: number
  cursor: number
}

/** What a gap still owes. */
export async function readGapRooms(
  db: Db,
  destination: number,
  gap: GapRange,
  most: Most,
): Promise<Found<StoredPdu>> {
  const { from, to, cursor } = gap
  const values = [destination, from, to, cursor, most.rows, most.bytes]
  const { rows } = await db.query<FoundRow>(GAP_ROOMS, values)
  return foundIn(rows, most, fromText)
}

/** The positions of what a gap still owes; `limit` null: of all of it. */
export async function gapPositions(
  db: Db,
  destination: number,
  { from, to, cursor }: GapRange,
  limit: number | null,
): Promise<number[]> {
  const { rows } = await db.query<{ pos: number }>(GAP_POSITIONS, [destination, from, to, cursor, limit])
  return rows.map(({ pos }) => pos)
}

/** The same by rooms. */
export async function gapPositionsByRoom(
  db: Db,
  destination: number,
  { from, to, cursor }: GapRange,
): Promise<Map<number, number[]>> {
  const { rows } = await db.query<{ pos: number; room: number }>(OF_ROOMS, [
    destination,
    from,
    to,
    cursor,
    null,
  ])
  const byRoom = new Map<number, number[]>()
  for (const { pos, room } of rows) byRoom.set(room, [...(byRoom.get(room) ?? []), pos])
  return byRoom
}
