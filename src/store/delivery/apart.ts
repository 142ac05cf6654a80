/**
 * PDUs that were taken out of the lanes of a destination, and the rooms that wait behind them (contract 5.9, migration 0019).
 *
 * Always: every cursor of the destination is past a PDU that has a row here, so the row alone says that it is owed; and of a room that waits,
 * no lane has anything (`notApart`). Rows are written by the holder of the destination, in the commit that ends the transaction that was refused,
 * or that acknowledges one; a purge, a skip and an operator's drop take them away.
 */
import type { Db } from '../db.ts'
import { addressedOutside, entitled, sent } from '../entitled.ts'
import { holding } from '../held.ts'
import { sql } from '../statement.ts'
import type { Held } from './leases.ts'
import {
  MEMBERSHIPS,
  entitledIn,
  fromText,
  TEXT_COLUMNS,
  textAt,
  type StoredPdu,
  type TextRow,
} from './timeline.ts'

export interface ApartRow {
  pos: number
  room: number
  lane: 't' | 'c' | 's'
  /** Which half it goes with; null: it was set aside. */
  grp: number | null
  since: number
  tries: number
  nextAt: number | null
  /** Of its text; null: it is no longer there. */
  bytes: number | null
  /** Until when it is sticky, ms since the epoch; null: it is not. */
  expiresAt: number | null
  /** The destination is in the room now. */
  member: boolean
  /** It is entitled to the event as to any: not only as a replay after a join. */
  entitled: boolean
}

export interface RoomRow {
  room: number
  /** Up to where everything of it is sent or apart. */
  cursor: number
  /** Null: it is not held, and waits for what it missed. */
  heldSince: number | null
  tries: number
  nextAt: number | null
}

export interface Apart {
  rows: ApartRow[]
  rooms: RoomRow[]
}

/** More than these are not looked at at once: halves first, then what is due soonest. */
const MOST_ROWS = 1_000

const event = (table: 'events' | 'kept_events') =>
  `select pos, room, recipients, octet_length(pdu) as bytes from ${table} where pos = a.pos`

const ROWS = sql(
  'read what is apart',
  `select a.pos, a.room, a.lane, a.grp, a.since, a.tries, a.next_at, e.bytes, s.expires_at,
         exists (select 1 from memberships m where m.room = a.room and m.destination = $1 and m.until is null) as member,
         coalesce(${entitled('$1')}, false) as entitled
    from (select * from apart where destination = $1 order by grp, next_at, pos limit ${MOST_ROWS}) a
    left join lateral (${event('events')} union all ${event('kept_events')} limit 1) e on true
    left join recipients r on r.id = e.recipients
    left join sticky s on s.pos = a.pos
   order by a.pos`,
)

const ROOMS = sql(
  'read the rooms that wait',
  `select room, cursor, held_since, tries, next_at from waiting_rooms where destination = $1 order by room`,
)

interface Row {
  pos: number
  room: number
  lane: ApartRow['lane']
  grp: number | null
  since: number
  tries: number
  next_at: number | null
  bytes: number | null
  expires_at: number | null
  member: boolean
  entitled: boolean
}

export async function readApart(db: Db, destination: number): Promise<Apart> {
  const { rows } = await db.query<Row>(ROWS, [destination])
  const rooms = await db.query<{
    room: number
    cursor: number
    held_since: number | null
    tries: number
    next_at: number | null
  }>(ROOMS, [destination])
  return {
    rows: rows.map(({ next_at: nextAt, expires_at: expiresAt, ...row }) => ({ ...row, nextAt, expiresAt })),
    rooms: rooms.rows.map(({ held_since: heldSince, next_at: nextAt, ...row }) => ({
      ...row,
      heldSince,
      nextAt,
    })),
  }
}

const TEXTS = sql(
  'read the texts of what is apart',
  `select ${TEXT_COLUMNS} from apart a cross join lateral ${textAt('a.pos')}
    where a.destination = $1 and a.pos = any($2::bigint[]) order by a.pos`,
)

/** The texts of those that are still apart, in stream order. */
export async function readApartTexts(
  db: Db,
  destination: number,
  positions: readonly number[],
): Promise<StoredPdu[]> {
  return (await db.query<TextRow>(TEXTS, [destination, positions])).rows.map(fromText)
}

// $1 worker, $2 fence, $3 destination, $4 its position, $5 the transaction that was refused, $6 the position after it, $7 the positions that it held, $8 their
// lanes, $9 the first half's size, $10 up to where their rooms are sent, $11 now. What a purge has taken meanwhile has no room. One that is apart already
// stays as it is.
const TAKE = sql(
  'take apart what was refused',
  `${holding('d.position = $4')}, ended as (
    delete from open_transactions o using held h where o.destination = h.id and o.txn_id = $5 and not o.void returning o.destination
  ), moved as (
    update destinations d set position = $6 from ended x where d.id = x.destination
  ), those as (
    select x.destination, p.pos, p.lane, p.n, coalesce((select e.room from events e where e.pos = p.pos),
                                                     (select k.room from kept_events k where k.pos = p.pos)) as room
      from ended x, unnest($7::bigint[], string_to_array($8, null)) with ordinality p (pos, lane, n)
  ), later as (
    update apart a set grp = a.grp + 2 from ended x where a.destination = x.destination and a.grp is not null
  ), taken as (
    insert into apart (destination, pos, room, lane, grp, since)
    select destination, pos, room, lane, case when n <= $9 then 1 else 2 end, $11 from those where room is not null
    on conflict (destination, pos) do nothing
  ), waits as (
    insert into waiting_rooms (destination, room, cursor)
    select destination, room, $10 from those where room is not null group by destination, room order by room
    on conflict (destination, room) do nothing returning room
  )
  select count(*)::int as n, array(select room from waits order by room) as rooms from ended`,
)

export interface Refused {
  txnId: string
  fromPos: number
  toPos: number
  positions: readonly number[]
  lanes: string
  /** Up to where the rooms of these were read for it. */
  roomsUpto: number
}

/**
 * Ends a transaction that was refused: what it held is apart from now on, in two halves, and all cursors are past it, as after an answer. Returns the
 * rooms that wait from now on; null: it is not open any more as it was, or the lease is over.
 */
export async function takeApart(
  db: Db,
  { worker, fence, destination }: Held,
  { txnId, fromPos, toPos, positions, lanes, roomsUpto }: Refused,
  now: number,
): Promise<number[] | null> {
  const half = Math.ceil(positions.length / 2)
  const values = [worker, fence, destination, fromPos, txnId, toPos, positions, lanes, half, roomsUpto, now]
  const { rows } = await db.query<{ n: number; rooms: number[] }>(TAKE, values)
  return rows[0]?.n === 1 ? rows[0].rooms : null
}

// $1 destination, $2 positions, $3 groups, $4 since, $5 tries, $6 next_at, $7 status, $8 message. The caller's transaction holds the destination's row.
const SORT = sql(
  'sort what is apart',
  `update apart a set grp = i.grp, since = i.since, tries = i.tries, next_at = i.next_at,
         status = coalesce($7, a.status), message = coalesce($8, a.message)
    from unnest($2::bigint[], $3::int[], $4::bigint[], $5::int[], $6::bigint[]) i (pos, grp, since, tries, next_at)
   where a.destination = $1 and a.pos = i.pos`,
)

const HOLD = sql(
  'hold rooms',
  `update waiting_rooms w set held_since = i.held_since, tries = i.tries, next_at = i.next_at
    from unnest($2::int[], $3::bigint[], $4::int[], $5::bigint[]) i (room, held_since, tries, next_at)
   where w.destination = $1 and w.room = i.room`,
)

export async function sortApart(
  db: Db,
  destination: number,
  {
    apart,
    rooms,
  }: {
    apart: readonly Pick<ApartRow, 'pos' | 'grp' | 'since' | 'tries' | 'nextAt'>[]
    rooms: readonly { room: number; heldSince: number; tries: number; nextAt: number }[]
  },
  said: { status: number | null; message: string } | null,
): Promise<void> {
  if (apart.length > 0) {
    await db.query(SORT, [
      destination,
      apart.map(({ pos }) => pos),
      apart.map(({ grp }) => grp),
      apart.map(({ since }) => since),
      apart.map(({ tries }) => tries),
      apart.map(({ nextAt }) => nextAt),
      said?.status ?? null,
      said?.message ?? null,
    ])
  }
  if (rooms.length > 0) {
    await db.query(HOLD, [
      destination,
      rooms.map(({ room }) => room),
      rooms.map(({ heldSince }) => heldSince),
      rooms.map(({ tries }) => tries),
      rooms.map(({ nextAt }) => nextAt),
    ])
  }
}

const END = sql('it is apart no more', 'delete from apart where destination = $1 and pos = any($2::bigint[])')

/** The destination has them, or they are given up. */
export async function endApart(db: Db, destination: number, positions: readonly number[]): Promise<void> {
  if (positions.length > 0) await db.query(END, [destination, positions])
}

const GIVE_UP = sql(
  'give up what was set aside',
  'delete from apart where destination = $1 and pos = any($2::bigint[]) returning pos',
)

/** Their texts are out of the log. Returns how many there were. */
export async function giveUpApart(
  db: Db,
  destination: number,
  positions: readonly number[],
): Promise<number> {
  return positions.length === 0 ? 0 : (await db.query(GIVE_UP, [destination, positions])).rows.length
}

const LANE = sql(
  'replays are ordinary events now',
  `update apart set lane = 't' where destination = $1 and pos = any($2::bigint[])`,
)

/** They are not sticky any more, and the destination is entitled to them all the same. */
export async function makeOrdinary(db: Db, destination: number, positions: readonly number[]): Promise<void> {
  if (positions.length > 0) await db.query(LANE, [destination, positions])
}

const DUE = [
  sql(
    'what is set aside is due',
    'update apart set next_at = $2 where destination = $1 and grp is null and next_at > $2',
  ),
  sql(
    'rooms that are held are due',
    'update waiting_rooms set next_at = $2 where destination = $1 and held_since is not null and next_at > $2',
  ),
]

/** Everything that is set aside, and every room that is held, is tried again at once. */
export async function makeAllDue(db: Db, destination: number, now: number): Promise<void> {
  for (const statement of DUE) await db.query(statement, [destination, now])
}

const RELEASE = sql(
  'hold a room no more',
  `update waiting_rooms w set held_since = null, tries = 0, next_at = null
    where destination = $1 and held_since is not null and not exists (select 1 from apart a where a.destination = $1 and a.room = w.room
                                                                    and a.grp is null and a.next_at is null)`,
)

/** Rooms of which nothing is apart any more are not held. */
export async function releaseRooms(db: Db, destination: number): Promise<void> {
  await db.query(RELEASE, [destination])
}

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

// $1 worker, $2 fence, $3 destination, $4 room, $5 cursor, $6 positions, $7 their group, $8 now, $9 whether it waits no more, $10 position.
const MOVE = sql(
  'a room goes on',
  `${holding('d.position = $10')}, those as (
    insert into apart (destination, pos, room, lane, grp, since)
    select h.id, p.pos, $4, 't', $7, $8 from held h, unnest($6::bigint[]) p (pos)
    on conflict (destination, pos) do nothing
  ), gone as (
    delete from waiting_rooms w using held h where w.destination = h.id and w.room = $4 and $9
  )
  update waiting_rooms w set cursor = greatest(w.cursor, $5) from held h where w.destination = h.id and w.room = $4 and not $9`,
)

/** The next of a room are taken out to be sent, up to `cursor`; or it waits no more. */
export async function moveRoom(
  db: Db,
  { worker, fence, destination }: Held,
  move: {
    room: number
    cursor: number
    positions: readonly number[]
    grp: number
    ends: boolean
    position: number
  },
  now: number,
): Promise<void> {
  const { room, cursor, positions, grp, ends, position } = move
  await db.query(MOVE, [worker, fence, destination, room, cursor, positions, grp, now, ends, position])
}

// $1 destination, $2 room, $3 up to, $4 positions. A room that is held keeps them with what was set aside of it.
const OVERTAKE = sql(
  'a room is overtaken',
  `with taken as (
    insert into apart (destination, pos, room, lane, grp, since)
    select $1, p.pos, $2, 'c', case when w.held_since is null
           then coalesce((select max(a.grp) from apart a where a.destination = $1), 0) + 1 end, now_ms()
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
