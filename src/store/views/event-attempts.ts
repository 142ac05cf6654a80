/**
 * Where did one event go? The answered transactions that carried it, and the gaps that contain something newer of its
 * room.
 */
import type { Db } from '../db.ts'
import { entitledAsMember } from '../entitled.ts'
import type { EventRow } from './event-facts.ts'
import { sql } from '../statement.ts'

export interface CarriedRow {
  destination: number
  txn_id: string
  at: number
  /** t (timeline), c (catch-up), s (sticky replay). */
  lane: string
  /** What the destination said of this event, if it complained. */
  error: string | null
  /** Its answer did not list the event. */
  unlisted: boolean
}

// An attempt is noted after the event was received, by the same clock; a minute for a clock that was set back.
const SELECT_CARRIED = sql(
  'who carried an event',
  `select destination, txn_id, at, lower(substr(lanes, array_position(positions, $2::bigint), 1)) as lane,
         pdu_errors->>$3 as error, coalesce($2 = any(unlisted), false) as unlisted
    from attempts
   where outcome = 'answered' and at >= $4::bigint - 60000 and $2 = any(positions) and ($1::int is null or destination = $1)
   order by at, seq`,
)

/** Answered transactions with this event, oldest first (as long as attempts are kept). */
export async function readCarried(db: Db, event: EventRow, only: number | null): Promise<CarriedRow[]> {
  const { rows } = await db.query<CarriedRow>(SELECT_CARRIED, [
    only,
    event.pos,
    event.event_id,
    event.received_ts,
  ])
  return rows
}

// In the room at that later event and entitled to it: then catch-up sends that one in place of this.
const SELECT_OVERTAKEN = sql(
  'which gaps hold something newer',
  `select g.destination
    from gaps g
   where g.from_pos < $2 and g.to_pos >= $2 and ($1::int is null or g.destination = $1)
     and exists (
       select 1 from memberships m
         join (select pos, room, recipients from events union all select pos, room, recipients from kept_events) e
           on e.room = m.room and e.pos > greatest($2, m.since) and e.pos <= least(m.until, g.to_pos)
         left join recipients r on r.id = e.recipients
        where m.room = $3 and m.destination = g.destination and (m.until is null or m.until > $2)
          and ${entitledAsMember('g.destination')})`,
)

/** The destinations whose gap around this event holds a newer one of its room that they are entitled to. */
export async function readOvertaken(db: Db, event: EventRow, only: number | null): Promise<Set<number>> {
  const { rows } = await db.query<{ destination: number }>(SELECT_OVERTAKEN, [only, event.pos, event.room])
  return new Set(rows.map(({ destination }) => destination))
}
