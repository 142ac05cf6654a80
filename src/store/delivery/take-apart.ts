/**
 * Takes PDUs out of the lanes of a destination, sorts them, and ends that they are apart (`apart.ts`). Each is part of the commit that says why.
 */
import type { Db } from '../db.ts'
import { entitled, sent } from '../entitled.ts'
import { holding } from '../held.ts'
import type { Isolation } from '../isolation.ts'
import { sql } from '../statement.ts'
import type { ApartRow } from './apart.ts'
import type { Held } from './leases.ts'

/**
 * The lane of the PDU `q`, whose event is `e`, its recipients `r`: a replay that the lanes have not passed yet (after the position `passed`) and that is
 * owed as any event is one of the timeline, as its row alone says from now on that it is owed. Another is owed until it lapses, and no longer:
 * it was delivered before a rejoin, given up, or passed by a catch-up.
 */
export const laneApart = (to: string, passed: string): string =>
  `case when q.lane = 's' and q.pos > ${passed} and ${entitled(to)} and not ${sent(to, 'q.pos')} then 't' else q.lane end`
/** The event of `q`, and who gets it. */
export const EVENT_APART = `left join lateral (
      select room, pos, recipients from events where pos = q.pos
      union all
      select room, pos, recipients from kept_events where pos = q.pos limit 1) e on true
    left join recipients r on r.id = e.recipients`

// $1 worker, $2 fence, $3 destination, $4 its position, $5 the transaction that was refused, $6 the position after it, $7 the positions that it held, $8 their
// lanes, $9 the first half's size, $10 up to where their rooms are sent, $11 now, $12 what the lanes have passed. What a purge has taken meanwhile has no room.
// One that is apart already stays as it is.
const TAKE = sql(
  'take apart what was refused',
  `${holding('d.position = $4')}, ended as (
    delete from open_transactions o using held h where o.destination = h.id and o.txn_id = $5 and not o.void returning o.destination
  ), moved as (
    update destinations d set position = $6 from ended x where d.id = x.destination
  ), those as (
    select x.destination, q.pos, ${laneApart('x.destination', '$12')} as lane, q.n, e.room
      from ended x cross join unnest($7::bigint[], string_to_array($8, null)) with ordinality q (pos, lane, n) ${EVENT_APART}
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
  /** Up to where the lanes had come before it: its position, or the cursor of its gap. */
  passed: number
}

/**
 * Ends a transaction that was refused: what it held is apart from now on, in two halves, and all cursors are past it, as after an answer. Returns the
 * rooms that wait from now on; null: it is not open any more as it was, or the lease is over.
 */
export async function takeApart(
  db: Db,
  { worker, fence, destination }: Held,
  { txnId, fromPos, toPos, positions, lanes, roomsUpto, passed }: Refused,
  now: number,
): Promise<number[] | null> {
  const half = Math.ceil(positions.length / 2)
  const { rows } = await db.query<{ n: number; rooms: number[] }>(TAKE, [
    ...[worker, fence, destination, fromPos, txnId, toPos, positions, lanes, half, roomsUpto, now, passed],
  ])
  return rows[0]?.n === 1 ? rows[0].rooms : null
}

// $1 destination, $2 positions, $3 groups, $4 since, $5 tries, $6 next_at, $7 status, $8 message, $9 what was refused alone. The caller's transaction holds the destination's row.
const SORT = sql(
  'sort what is apart',
  `update apart a set grp = i.grp, since = i.since, tries = i.tries, next_at = i.next_at,
         status = case when a.pos = $9 then $7 else a.status end, message = case when a.pos = $9 then $8 else a.message end
    from unnest($2::bigint[], $3::int[], $4::bigint[], $5::int[], $6::bigint[]) i (pos, grp, since, tries, next_at)
   where a.destination = $1 and a.pos = i.pos`,
)

const HOLD = sql(
  'hold rooms',
  `update waiting_rooms w set held_since = i.held_since, tries = i.tries, next_at = i.next_at
    from unnest($2::int[], $3::bigint[], $4::int[], $5::bigint[]) i (room, held_since, tries, next_at)
   where w.destination = $1 and w.room = i.room`,
)

/** `said`: of what was refused alone, and what was answered. */
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
  said: { pos: number; status: number | null; message: string } | null = null,
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
      said?.pos ?? null,
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

const LOCK = sql('lock it where it is still held', `${holding()} select h.id from held h`)

/** Locks the destination's row until the commit; false: it is somebody else's by now, and what was read of it is old. */
export async function lockHeld(db: Db, { worker, fence, destination }: Held): Promise<boolean> {
  return (await db.query(LOCK, [worker, fence, destination])).rows.length === 1
}

const SEARCHED = sql(
  'a search is over',
  `${holding()} update destinations d set isolation = d.isolation || '{"search": null}' from held h where d.id = h.id`,
)

/** Nothing of it is left to be sent: what it has seen says nothing of what is refused later. */
export async function endSearch(db: Db, { worker, fence, destination }: Held): Promise<void> {
  await db.query(SEARCHED, [worker, fence, destination])
}

const NOTHING = sql(
  'nothing is apart any more',
  `${holding()} update destinations d set isolation = $4 from held h
    where d.id = h.id and not exists (select 1 from apart a where a.destination = $3)
      and not exists (select 1 from waiting_rooms w where w.destination = $3)`,
)

/** What is known of its refusals besides. */
export async function noteNothingApart(
  db: Db,
  { worker, fence, destination }: Held,
  isolation: Isolation | null,
): Promise<void> {
  await db.query(NOTHING, [worker, fence, destination, isolation === null ? null : JSON.stringify(isolation)])
}
