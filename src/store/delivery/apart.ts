/**
 * PDUs that were taken out of the lanes of a destination, and the rooms that wait behind them (contract 5.9, migration 0019).
 *
 * Always: every cursor of the destination is past a PDU that has a row here, so the row alone says that it is owed; and of a room that waits,
 * no lane has anything (`notApart`). Rows are written by the holder of the destination, in the commit that ends the transaction that was refused,
 * or that acknowledges one; a purge, a skip and an operator's drop take them away.
 */
import type { Db } from '../db.ts'
import { sql } from '../statement.ts'
import { fromText, TEXT_COLUMNS, textAt, type StoredPdu, type TextRow } from './timeline.ts'

export interface ApartRow {
  pos: number
  room: number
  lane: 't' | 'c' | 's'
  /** Which half it goes with; null: it was set aside. */
  grp: number | null
  since: number
  /** `NO_SUSPECT`; or, of what is searched, how often a gateway refused it alone; or, of what was set aside, how often it was tried since. */
  tries: number
  nextAt: number | null
  /** Of its text; null: it is no longer there. */
  bytes: number | null
  /** Until when it is sticky, ms since the epoch; null: it is not. */
  expiresAt: number | null
  /** The destination is in the room now. */
  member: boolean
  /** It is sent alone, after everything else that is due. */
  odd: boolean
}

/**
 * In `tries`, of what was in no transaction yet that was refused: it is apart as its room waited, or as it goes last. A release that does not know
 * this one counts on from it, so it asks a gateway once more.
 */
export const NO_SUSPECT = -1

export interface RoomRow {
  room: number
  /** Up to where everything of it is sent or apart. */
  cursor: number
  /** Null: it is not held, and waits for what it missed. */
  heldSince: number | null
  tries: number
  nextAt: number | null
  /** Something of it is being searched, or waits with it: also what is not among the rows that were read. */
  busy: boolean
}

export interface Apart {
  rows: ApartRow[]
  rooms: RoomRow[]
}

/** More than these are not looked at at once: halves first, then what is due soonest; and as many of what waits with a held room. */
const MOST_ROWS = 1_000

const event = (table: 'events' | 'kept_events') =>
  `select octet_length(pdu) as bytes, odd from ${table} where pos = a.pos`

/** A condition on `a` and the room `w` that it is of: it waits with it. */
const WITH_ROOM = 'w.held_since is not null and a.grp is null and a.next_at is null'

const ROWS = sql(
  'read what is apart',
  `select a.pos, a.room, a.lane, a.grp, a.since, a.tries, a.next_at, e.bytes, coalesce(e.odd, false) as odd, s.expires_at,
         exists (select 1 from memberships m where m.room = a.room and m.destination = $1 and m.until is null) as member
    from ((select a.* from apart a where a.destination = $1 order by a.grp, a.next_at, a.pos limit ${MOST_ROWS})
          union
          (select a.* from waiting_rooms w join apart a on a.destination = w.destination and a.room = w.room
            where w.destination = $1 and ${WITH_ROOM} order by w.next_at, w.room, a.pos limit ${MOST_ROWS})) a
    left join lateral (${event('events')} union all ${event('kept_events')} limit 1) e on true
    left join sticky s on s.pos = a.pos
   order by a.pos`,
)

const ROOMS = sql(
  'read the rooms that wait',
  `select w.room, w.cursor, w.held_since, w.tries, w.next_at,
         exists (select 1 from apart a where a.destination = $1 and a.room = w.room and (a.grp is not null or (${WITH_ROOM}))) as busy
    from waiting_rooms w where w.destination = $1 order by w.room`,
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
  odd: boolean
  member: boolean
}

export async function readApart(db: Db, destination: number): Promise<Apart> {
  const { rows } = await db.query<Row>(ROWS, [destination])
  const rooms = await db.query<{
    room: number
    cursor: number
    held_since: number | null
    tries: number
    next_at: number | null
    busy: boolean
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
