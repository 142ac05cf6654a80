/** Was an event erased? Known for as long as the log holds the change. */
import type { Db } from '../db.ts'
import { TAKES_CONTENT } from '../stream.ts'
import { sql } from '../statement.ts'

const WAS_ERASED = sql(
  'was the event erased',
  `select from event_ids i join changes c on c.pos > i.pos and i.pos = any(c.erased)
    where i.event_id = $1 and c.${TAKES_CONTENT} limit 1`,
)

export async function wasErased(db: Db, eventId: string): Promise<boolean> {
  return (await db.query(WAS_ERASED, [eventId])).rows.length > 0
}
