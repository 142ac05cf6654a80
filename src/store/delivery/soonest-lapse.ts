/**
 * Which of the sticky events that are owed to a destination lapses soonest? Asked of one that fails, whose next attempt is far away
 * (`deliver/rules/deadline.ts`).
 *
 * Owed are those of rooms that it is in now: in the timeline, by a join, by a gap, because an answer did not list them, because they are
 * apart, or because their room waits (`apart.ts`). The cost grows with its rooms, and with what is sticky in them.
 */
import type { Db } from '../db.ts'
import { entitled, sent } from '../entitled.ts'
import { OWED_BY_JOIN, OWED_BY_GAP } from './sticky-lane.ts'
import { sql } from '../statement.ts'

/** Times are ms since the epoch. */
export interface OwedSticky {
  /** When the first of them lapses. */
  lapsesAt: number
  /** When that one came. */
  since: number
  /** When the newest of all came. */
  newest: number
  /** When the last of them lapses. */
  latest: number
}

// $1 destination, $2 its position.
const SOONEST = sql(
  'which sticky event lapses soonest',
  `select min(x.expires_at) as lapses_at, (array_agg(x.received_ts order by x.expires_at, x.pos))[1] as since, max(x.received_ts) as newest, max(x.expires_at) as latest
     from (
       select s.pos, s.expires_at, e.received_ts
         from memberships mine
         join sticky s on s.room = mine.room
         join events e on e.pos = s.pos
         left join recipients r on r.id = e.recipients
        where mine.destination = $1 and mine.until is null and s.expires_at > (select now_ms())
          and ((s.pos > coalesce((select w.cursor from waiting_rooms w where w.destination = $1 and w.room = s.room), $2)
                and ${entitled('$1')} and not ${sent('$1', 'e.pos')})
               or ${OWED_BY_JOIN} or ${OWED_BY_GAP}
               or exists (select 1 from replays p where p.destination = $1 and p.pos = s.pos and p.state = 'unlisted')
               or exists (select 1 from apart a where a.destination = $1 and a.pos = s.pos))
     ) x`,
)

interface Row extends Pick<OwedSticky, 'since' | 'newest' | 'latest'> {
  lapses_at: number | null
}

/** Null: none is owed. */
export async function readSoonestLapse(
  db: Db,
  { id, position }: { id: number; position: number },
): Promise<OwedSticky | null> {
  const { rows } = await db.query<Row>(SOONEST, [id, position])
  const row = rows[0]
  if (row === undefined || row.lapses_at === null) return null
  return { lapsesAt: row.lapses_at, since: row.since, newest: row.newest, latest: row.latest }
}
