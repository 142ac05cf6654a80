/**
 * Which events there is something stored of: what a source asks before it tells of thousands of redactions.
 */
import type { Db } from './db.ts'

/** Those of `eventIds` whose text is in the log, or kept of it. */
export async function heldAmong(db: Db, eventIds: readonly string[]): Promise<string[]> {
  const { rows } = await db.query<{ event_id: string }>(
    `select i.event_id from event_ids i
      where i.event_id = any($1)
        and (exists (select from events e where e.pos = i.pos)
          or exists (select from kept_events k where k.pos = i.pos))`,
    [eventIds],
  )
  return rows.map((row) => row.event_id)
}
