/**
 * What does a destination still have to get in real time? The events after its position to which it is
 * entitled, in stream order, less those that went as sticky replays already.
 *
 * Entitlement is asked at the event's own position, so it does not matter that memberships are read a
 * moment later than the head. Near the head the log is read forwards; far behind it, room by room.
 */
import type { Db } from './db.ts'

export interface StoredPdu {
  pos: number
  eventId: string
  pdu: string
  receivedTs: number
  /** It was ever sticky, and not redacted since. */
  sticky: boolean
}

/**
 * Whether destination $1 is entitled to the event `e` with recipients `r` (left joined), membership aside
 * being `member`. Addressed events go to those listed; `not_to` takes out of the room's servers.
 */
export const ADDRESSED = `($1 = any(r.list))`
export const BY_ROOM = `(r.id is null or (not r.exact and not $1 = any(r.less)))`
export const MEMBER_AT = `exists (select 1 from memberships m where m.room = e.room and m.destination = $1
                          and m.since < e.pos and (m.until is null or e.pos <= m.until))`
export const NOT_SENT = `not exists (select 1 from replays p where p.destination = $1 and p.pos = e.pos and p.state = 'sent')`

/** Log rows that are read forwards at most; a destination further behind is read room by room. */
const WINDOW = 2_000

// $1 destination, $2 after, $3 up to, $4 limit. Ids first, then text, so that skipped rows cost no text.
const FORWARDS = `
  select e.pos from events e left join recipients r on r.id = e.recipients
   where e.pos > $2 and e.pos <= $3 and (${ADDRESSED} or (${BY_ROOM} and ${MEMBER_AT})) and ${NOT_SENT}
   order by e.pos limit $4`

const BY_ROOMS = `
  select pos from (
    select x.pos from memberships m cross join lateral (
      select e.pos from events e left join recipients r on r.id = e.recipients
       where e.room = m.room and e.pos > greatest(m.since, $2) and e.pos <= least(coalesce(m.until, $3), $3)
         and (${BY_ROOM} or ${ADDRESSED}) and ${NOT_SENT}
       order by e.pos limit $4) x
     where m.destination = $1 and m.since < $3 and (m.until is null or m.until > $2)
    union
    (select e.pos from events e join recipients r on r.id = e.recipients
      where e.recipients is not null and e.pos > $2 and e.pos <= $3 and ${ADDRESSED} and ${NOT_SENT}
      order by e.pos limit $4)
  ) found order by pos limit $4`

const TEXTS = `select pos, event_id, pdu, received_ts, sticky_until is not null as sticky from events where pos = any($1) order by pos`

export interface Range {
  /** Exclusive. */
  after: number
  /** Inclusive. */
  upto: number
}

export async function readTimeline(
  db: Db,
  destination: number,
  range: Range,
  limit: number,
): Promise<StoredPdu[]> {
  const found = await timelinePositions(db, destination, range, limit)
  return readTexts(db, found)
}

export async function timelinePositions(
  db: Db,
  destination: number,
  range: Range,
  limit: number,
): Promise<number[]> {
  if (range.upto <= range.after) return []
  const sql = range.upto - range.after <= WINDOW ? FORWARDS : BY_ROOMS
  const { rows } = await db.query<{ pos: number }>(sql, [destination, range.after, range.upto, limit])
  return rows.map(({ pos }) => pos)
}

export async function readTexts(db: Db, positions: readonly number[]): Promise<StoredPdu[]> {
  if (positions.length === 0) return []
  const { rows } = await db.query<{
    pos: number
    event_id: string
    pdu: string
    received_ts: number
    sticky: boolean
  }>(TEXTS, [positions])
  return rows.map(({ pos, event_id, pdu, received_ts, sticky }) => ({
    pos,
    eventId: event_id,
    pdu,
    receivedTs: received_ts,
    sticky,
  }))
}
