/**
 * Whom to wake for new EDUs. Durable ones wake as events do; the others only who answers quickly, and nobody who is looked at by itself when they may go: a
 * destination that waits for company (`deliver/rules/when-edus-go.ts`) would be taken, read and let go once more for each change of presence.
 */
import type { Db } from '../db.ts'
import { sql } from '../statement.ts'
import { EPHEMERAL_WAITS } from './edus.ts'
import { askWhom, FOLLOWED, IS_TOLD, UNSERVED, type ToldSleeper } from './wake-lists.ts'

/** Beside `IS_TOLD`: a destination that fails, or was slow, gets them with what it is woken for next. */
const IS_QUICK = 'd.quick and d.retry_at is null and d.hold_until is null'

/** Its time comes no later than that of what is new. A destination in somebody's hands may have looked for the last time. */
const WAITS_ANYWAY = `${UNSERVED} and d.look_at > (select now_ms())
     and d.look_at <= (select now_ms()) + case when who.alone then ${EPHEMERAL_WAITS.alone} else ${EPHEMERAL_WAITS.company} end`

// As for new items. Of many EDUs of a room, or of a set of rooms, its servers are read once. Room by room, and each destination by itself: from the sets
// PostgreSQL expects so many of both that it would read all that there are. `alone`: it waits for no company.
const FOR_NEW_EDUS = sql(
  'whom do new EDUs concern',
  `with new as materialized (
    select e.durable, e.type <> 'm.presence' as alone, e.room, e.rooms, e.recipients from unnest($2::bigint[]) p (pos) join edus e on e.pos = p.pos
     where e.pos > $1 and e.pos <= $3
  ), touched as materialized (
    select room, bool_or(durable) as durable, bool_or(alone) as alone from (
      select room, durable, alone from new where room is not null
      union
      select unnest(s.rooms), e.durable, e.alone
        from (select distinct rooms, durable, alone from new where rooms is not null) e join edu_rooms s on s.id = e.rooms
    ) r group by room
  ), addressed as (
    select recipients, bool_or(durable) as durable, bool_or(alone) as alone from new where recipients is not null group by recipients
  ), who as materialized (
    select destination, bool_or(durable) as durable, bool_or(alone) as alone from (
      select m.destination, t.durable, t.alone from touched t cross join lateral (
        select m.destination from memberships m where m.room = t.room and (m.until is null or m.until > $1) offset 0) m
      union all
      select unnest(r.list), a.durable, a.alone from addressed a join recipients r on r.id = a.recipients
    ) w group by destination
  )
  select d.name, d.quick, d.fence, not ${UNSERVED} as served
    from who cross join lateral (select * from destinations d where d.id = who.destination offset 0) d
   where ${IS_TOLD} and not ${FOLLOWED} and (who.durable or (${IS_QUICK} and not coalesce(${WAITS_ANYWAY}, false)))`,
)

/** Those whom EDUs concern. */
export const findConcernedByEdus = (db: Db, after: number, upto: number): Promise<ToldSleeper[]> =>
  askWhom(db, FOR_NEW_EDUS, after, upto)
