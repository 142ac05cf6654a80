/**
 * Which of these events does limpet still store? A source asks before it passes on thousands of redactions. Only
 * reads, and no locks: the answer may have changed by the time that a redaction is taken.
 */
import type { Db } from '../db.ts'
import { planFor } from '../prepare.ts'
import { TAKES_CONTENT } from '../stream.ts'
import { sql } from '../statement.ts'

const HELD_AMONG = sql(
  'which events are held',
  `select i.event_id from event_ids i
      where i.event_id = any($1)
        and (exists (select from events e where e.pos = i.pos)
          or exists (select from kept_events k where k.pos = i.pos))`,
)

/** Those of `eventIds` whose text is in the log, or kept of it. */
export async function heldAmong(db: Db, eventIds: readonly string[]): Promise<string[]> {
  const { rows } = await db.query<{ event_id: string }>(HELD_AMONG, [eventIds])
  return rows.map((row) => row.event_id)
}

export interface HeldPage {
  /** Events whose text is stored as it was sent: what was redacted already is not among them. */
  readonly eventIds: readonly string[]
  /** Where the next page begins; null: this was the last. */
  readonly next: number | null
}

// $3: the position after which the page begins, $4: how many events of the room it looks at, by any sender: so its cost is bounded.
// What was kept of the log may be in both tables. A redaction stands after its event.
const HELD_BY = sql(
  'which events of a sender are held',
  `with room as (select id from rooms where room_id = $1), seen as (
    select pos, event_id, sender from (
      (select pos, event_id, sender from events where room = (select id from room) and pos > $3 order by pos limit $4)
       union
      (select pos, event_id, sender from kept_events where room = (select id from room) and pos > $3 order by pos limit $4)
    ) both_tables order by pos limit $4
  )
  select s.pos, s.event_id, s.sender = $2 and r.target is null as held
    from seen s
    left join (select distinct target from changes where kind = 'redact' and ${TAKES_CONTENT} and pos > $3) r on r.target = s.pos
   order by s.pos`,
)

/** A page of what is held of `sender`'s events in a room; it looks at `limit` of the room's events. */
export async function heldBy(
  db: Db,
  { roomId, sender, after, limit }: { roomId: string; sender: string; after: number; limit: number },
): Promise<HeldPage> {
  const { rows } = await db.query<{ pos: number; event_id: string; held: boolean }>(planFor(limit, HELD_BY), [
    roomId,
    sender,
    after,
    limit,
  ])
  return {
    eventIds: rows.filter((row) => row.held).map((row) => row.event_id),
    next: rows.length < limit ? null : (rows.at(-1)?.pos ?? null),
  }
}
