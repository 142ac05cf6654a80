/**
 * What does a destination still have to get in real time? The events after its position to which it is
 * entitled, in stream order, less those that went as sticky replays already.
 *
 * Entitlement is asked at the event's own position, so it does not matter that memberships are read a
 * moment later than the head. The log is read forwards; where that finds little far behind the head, room by room.
 */
import type pg from 'pg'
import type { Db } from '../db.ts'
import { addressed, addressedOutside, entitled, entitledAsMember, notApart, sent } from '../entitled.ts'
import { sql, type Sql } from '../statement.ts'
import { foundIn, textWithin, type Found, type Most } from '../within-bytes.ts'

export interface StoredPdu {
  pos: number
  eventId: string
  pdu: string
  receivedTs: number
  /** It was ever sticky, and not redacted since. */
  sticky: boolean
  /** It goes in a transaction of its own (contract 5.9). */
  odd?: boolean
}

/** Not as a replay, and not out of all lanes (`apart.ts`). */
const STILL_OWED = `not ${sent('$1', 'e.pos')} and ${notApart('$1')}`

/** Log rows that are read forwards at most, for each that is wanted and together; what is behind them is read room by room. */
const WINDOW_FOR_EACH = 32
const WINDOW = 2_000

// $1 destination, $2 after, $3 up to, $4 limit. Ids first, then text, so that skipped rows cost no text.
const FORWARDS = `
  select e.pos from events e left join recipients r on r.id = e.recipients
   where e.pos > $2 and e.pos <= $3 and ${entitled('$1')} and ${STILL_OWED}
   order by e.pos limit $4`

/**
 * What destination $1 is entitled to by its membership `m`, after $2 up to $3. A caller that wants the first or the last few of
 * it walks the room's index and stops: no join may stand in the way of its order, and the lower end is compared with the room
 * beside it, else PostgreSQL expects so few rows between the two ends that it reads and sorts them all.
 */
const IN_REACH = `e.room = m.room and (e.room, e.pos) > (m.room, greatest(m.since, $2)) and e.pos <= least(coalesce(m.until, $3), $3)`
export const entitledIn = (table: 'events' | 'kept_events') => `from ${table} e
       where ${IN_REACH}
         and (e.recipients is null
              or exists (select 1 from recipients r where r.id = e.recipients and ${entitledAsMember('$1')}))`
/** The memberships that reach into the positions after $2 up to $3. */
export const MEMBERSHIPS = `m.destination = $1 and m.since < $3 and (m.until is null or m.until > $2)`

const BY_ROOMS = `
  select pos from (
    select x.pos from memberships m cross join lateral (
      select e.pos ${entitledIn('events')} and ${STILL_OWED}
       order by e.pos limit $4) x
     where ${MEMBERSHIPS}
    union
    (select e.pos from events e join recipients r on r.id = e.recipients
      where e.recipients is not null and e.pos > $2 and e.pos <= $3 and ${addressed('$1')} and ${STILL_OWED}
      order by e.pos limit $4)
  ) found order by pos limit $4`

/** Of the rooms alone, without an order, so that it ends when it has found enough, in whichever room. */
const inRooms = (events: string) => `
    (select from memberships m cross join lateral (
       select ${events}
        limit $4) x
      where ${MEMBERSHIPS}
      limit $4)`

// Where nothing of that stretch was addressed by name or went ahead to this destination, everything in its rooms is owed, and
// the index on (room, pos) says how much that is, without a row of the log. What was addressed to a server in the room
// is of the rooms' half.
const COUNT_BY_ROOMS = sql(
  'count the timeline room by room',
  `select case when exists (select from events e where e.recipients is not null and e.pos > $2 and e.pos <= $3)
              or exists (select from replays p where p.destination = $1 and p.pos > $2 and p.pos <= $3)
              or exists (select from waiting_rooms w where w.destination = $1)
              or exists (select from apart a where a.destination = $1 and a.pos > $2)
         then (select least(count(*), $4) from (
           ${inRooms(`${entitledIn('events')} and ${STILL_OWED}`)}
           union all
           (select from events e join recipients r on r.id = e.recipients
             where e.recipients is not null and e.pos > $2 and e.pos <= $3 and ${addressedOutside('$1')} and ${STILL_OWED}
             limit $4)) closely)
         else (select least(count(*), $4) from (${inRooms(`from events e where ${IN_REACH}`)}) plainly)
         end::int as n`,
)

const TEXT = 'pos, event_id, pdu, received_ts, sticky_until is not null as sticky, odd'
// $5 bytes: the texts of positions that `positions`, an array expression, gives.
const textsOf = (positions: string) => `
  select e.pos, e.event_id, ${textWithin('$5', 'e')} as pdu, e.received_ts, e.sticky_until is not null as sticky, e.odd
    from events e where e.pos = any(${positions}) order by e.pos`
/**
 * The text of the event at the position `pos`, as a row source `e`: in the log, or in what was kept of it. While a part of the log is on its way
 * out it is in both. Part of the statement that finds the position, so that what was found has a text.
 */
export const textAt = (pos: string) => `(
    select ${TEXT} from events where pos = ${pos}
    union all
    select ${TEXT} from kept_events where pos = ${pos} limit 1) e`
export const TEXT_COLUMNS = 'e.pos, e.event_id, e.pdu, e.received_ts, e.sticky, e.odd'
const READ = {
  forwards: sql('read the timeline', textsOf(`array(${FORWARDS})`)),
  byRooms: sql('read the timeline room by room', textsOf(`array(${BY_ROOMS})`)),
}
const POSITIONS = {
  forwards: sql('count the timeline', FORWARDS),
  byRooms: sql('count the timeline of each room', BY_ROOMS),
}

export interface Range {
  /** Exclusive. */
  after: number
  /** Inclusive. */
  upto: number
}

/** What is owed in `range`, in stream order. */
export async function readTimeline(
  db: Db,
  destination: number,
  range: Range,
  most: Most,
): Promise<Found<StoredPdu>> {
  const rows = await search<FoundRow>(db, READ, destination, range, most.rows, [most.bytes])
  return foundIn(rows, most, fromText)
}

export async function timelinePositions(
  db: Db,
  destination: number,
  range: Range,
  limit: number,
): Promise<number[]> {
  return (await search<{ pos: number }>(db, POSITIONS, destination, range, limit)).map(({ pos }) => pos)
}

/** How much is owed in `range`; `most`: so much or more. */
export async function countTimeline(
  db: Db,
  destination: number,
  { after, upto }: Range,
  most: number,
): Promise<number> {
  if (upto <= after) return 0
  // Nothing has to be in order, so where enough is near, or little far away, both ways are short.
  const window = Math.min(upto, after + WINDOW_FOR_EACH)
  const near = await timelinePositions(db, destination, { after, upto: window }, most)
  if (window === upto || near.length >= most) return near.length
  const { rows } = await db.query<{ n: number }>(COUNT_BY_ROOMS, [destination, after, upto, most])
  return rows[0]?.n ?? 0
}

/** Far behind, too, a window of the log is tried first: a busy destination finds enough in it, whatever its distance. */
async function search<R extends pg.QueryResultRow>(
  db: Db,
  { forwards, byRooms }: { forwards: Sql; byRooms: Sql },
  destination: number,
  { after, upto }: Range,
  limit: number,
  more: readonly number[] = [],
): Promise<R[]> {
  if (upto <= after) return []
  const window = Math.min(upto, after + Math.min(WINDOW, limit * WINDOW_FOR_EACH))
  const { rows } = await db.query<R>(forwards, [destination, after, window, limit, ...more])
  if (window === upto || rows.length === limit) return rows
  return (await db.query<R>(byRooms, [destination, after, upto, limit, ...more])).rows
}

export interface TextRow {
  pos: number
  event_id: string
  pdu: string
  received_ts: number
  sticky: boolean
  odd: boolean | null
}

/** A text that was left out is null (`within-bytes.ts`). */
export type FoundRow = Omit<TextRow, 'pdu'> & { pdu: string | null }

export function fromText({ pos, event_id, pdu, received_ts, sticky, odd }: TextRow): StoredPdu {
  return { pos, eventId: event_id, pdu, receivedTs: received_ts, sticky, odd: odd === true }
}
