/**
 * Which sticky events are owed as replays? Those of joined rooms and of the open gap, in stream order, and those that
 * an answer did not list and whose next try is due.
 *
 * A replay goes only to a server that is in the room now. History visibility is not applied (MSC4354). A join asks
 * once more for what was sent before it; a gap asks only for what it missed.
 */
import type { Db } from '../db.ts'
import { entitled, sent, sentSince } from '../entitled.ts'
import { sql, type Sql } from '../statement.ts'
import { foundIn, textWithin, type Found, type Most } from '../within-bytes.ts'

export interface StoredSticky {
  pos: number
  eventId: string
  pdu: string
  sticky: true
  receivedTs: number
  expiresAt: number
  odd: boolean
}

/** Of what `found` says of `s` and `e`, the first ones in stream order, and of these as many texts as fit. */
const first = (found: string) => `
  select x.pos, x.event_id, ${textWithin('$4', 'x')} as pdu, x.received_ts, x.expires_at, x.odd from (
    select s.pos, e.event_id, e.pdu, e.received_ts, s.expires_at, e.odd
    ${found}
     order by s.pos limit $3) x
   order by x.pos`

/** A condition on `s`: it is not apart. */
const NOT_OUT = 'not exists (select 1 from apart a where a.destination = $1 and a.pos = s.pos)'

/** A condition on `s` (sticky): a join owes it to `$1`. */
export const OWED_BY_JOIN = `exists (select 1 from sticky_owed o
                   where o.destination = $1 and o.room = s.room and s.pos > o.cursor and s.pos <= o.upto
                     and not ${sentSince('$1', 's.pos', 'o.upto')})`

/** A condition on `s`, its event `e` and recipients `r`: a gap owes it to `$1`. */
export const OWED_BY_GAP = `(exists (select 1 from sticky_owed o
                       where o.destination = $1 and o.room is null and s.pos > greatest(o.after_pos, o.cursor))
              and ${entitled('$1')} and not ${sent('$1', 'e.pos')})`

// $1 destination, $2 now, $3 limit, $4 bytes.
const OWED = sql(
  'read sticky events owed',
  first(`from memberships mine
    join sticky s on s.room = mine.room
    join events e on e.pos = s.pos
    left join recipients r on r.id = e.recipients
   where mine.destination = $1 and mine.until is null and s.expires_at > $2
     and (${OWED_BY_JOIN}
          or ${OWED_BY_GAP})
     and ${NOT_OUT}`),
)

const UNLISTED = sql(
  'read unlisted sticky events',
  first(`from replays p
    join sticky s on s.pos = p.pos
    join events e on e.pos = p.pos
   where p.destination = $1 and p.state = 'unlisted' and p.next_at <= $2 and s.expires_at > $2
     and exists (select 1 from memberships m where m.room = s.room and m.destination = $1 and m.until is null)
     and ${NOT_OUT}`),
)

interface Row {
  pos: number
  event_id: string
  pdu: string | null
  received_ts: number
  expires_at: number
  odd: boolean | null
}

export const readOwedSticky = (db: Db, destination: number, now: number, most: Most) =>
  read(db, OWED, destination, now, most)

export const readUnlisted = (db: Db, destination: number, now: number, most: Most) =>
  read(db, UNLISTED, destination, now, most)

async function read(
  db: Db,
  statement: Sql,
  destination: number,
  now: number,
  most: Most,
): Promise<Found<StoredSticky>> {
  const { rows } = await db.query<Row>(statement, [destination, now, most.rows, most.bytes])
  return foundIn(rows, most, ({ pos, event_id, pdu, received_ts, expires_at, odd }) => ({
    pos,
    eventId: event_id,
    pdu,
    sticky: true as const,
    receivedTs: received_ts,
    expiresAt: expires_at,
    odd: odd === true,
  }))
}

// What only its stickiness would have brought: noted once, so that it is counted once and explain can say it. Only where
// nothing else says it: these rows are as many as were sticky at a join, or were sent and not listed.
// In order, as an answer writes its own: the sweep notes for all while turns note for theirs.
const NOTE_LAPSED = sql(
  'note what has lapsed',
  `with due as (
    select o.destination, s.pos, s.expires_at
      from sticky_owed o join sticky s on s.room = o.room and s.pos > o.cursor and s.pos <= o.upto
     where s.expires_at <= $1 and s.expires_at > o.created_at and ($2::int is null or o.destination = $2)
    union
    select p.destination, p.pos, p.expires_at from replays p
     where p.state = 'unlisted' and p.expires_at <= $1 and ($2::int is null or p.destination = $2)
  )
  insert into replays (destination, pos, state, expires_at, at)
  select destination, pos, 'lapsed', expires_at, $1 from due order by destination, pos
  on conflict (destination, pos) do update set state = 'lapsed', next_at = null, at = excluded.at
   where replays.state = 'unlisted'`,
)

// What a gap owed besides: no row, for a gap may stay open for ever, of a thousand servers at once, and explain tells it from
// the gap. It is counted once because only the sweep counts, and knows up to which time it has.
const COUNT_LAPSED = sql(
  'count what has lapsed in gaps',
  `with counted as (
    insert into cursors (name, pos) values ('lapsed', $1) on conflict (name) do update set pos = excluded.pos
  )
  select count(*)::int as lapsed
    from sticky_owed o
    join memberships m on m.destination = o.destination and m.until is null
    join sticky s on s.room = m.room and s.pos > greatest(o.after_pos, o.cursor, m.since)
   where o.room is null and s.expires_at <= $1
     and s.expires_at > greatest(o.created_at, (select pos from cursors where name = 'lapsed'))
     and not exists (select 1 from replays p where p.destination = o.destination and p.pos = s.pos)`,
)

/** Notes what lapsed while it was owed, for one destination, or (null: the sweep) all and what gaps owed too. Returns how many. */
export async function noteLapsed(db: Db, now: number, destination: number | null): Promise<number> {
  const { rowCount } = await db.query(NOTE_LAPSED, [now, destination])
  if (destination !== null) return rowCount ?? 0
  const { rows } = await db.query<{ lapsed: number }>(COUNT_LAPSED, [now])
  return (rowCount ?? 0) + (rows[0]?.lapsed ?? 0)
}

// A row is done when nothing it covers is sticky any more and unsent; what is apart has a row of its own that says so, else each sweep would wake a
// destination for it that has nothing to do. `upto` guards against a rejoin meanwhile.
const DROP_DONE = sql(
  'drop joins that are through',
  `delete from sticky_owed o
   where o.destination = $1 and o.room = any($2) and o.upto <= $4
     and not exists (select 1 from sticky s where s.room = o.room and s.pos > o.cursor and s.pos <= o.upto and s.expires_at > $3
                      and not ${sentSince('$1', 's.pos', 'o.upto')} and ${NOT_OUT})`,
)

/** Forgets join rows that are through; `head`: no join after it is touched. */
export async function dropDoneJoins(
  db: Db,
  destination: number,
  { rooms, now, head }: { rooms: readonly number[]; now: number; head: number },
): Promise<void> {
  if (rooms.length > 0) await db.query(DROP_DONE, [destination, rooms, now, head])
}
