/**
 * Deletes what was needed only while its part of the log existed: event ids, changes, memberships that have ended,
 * lists of recipients. In small commits, because nothing waits for it. EDUs go by their own times (`forget-edus.ts`), and what they need with them.
 */
import type { Db } from '../db.ts'
import { oldUpTo } from './seen-time.ts'
import { sql, type Sql } from '../statement.ts'

const AT_ONCE = 5_000
/** Commits of one kind at one look; the next look goes on. */
const MOST_COMMITS = 50

// What is kept must be found by its id, too: a redaction has to reach it.
const oldIds = (where: string) => `
    (select i.event_id from event_ids i
      where ${where} and i.pos <= (select least(s.log_floor, ${oldUpTo('$1')}) from stream s)
        and not exists (select 1 from kept_events k where k.pos = i.pos)
      order by i.at limit ${AT_ONCE})`

// The clock says where to look, what was seen decides. Rows that came while the clock was ahead are looked at apart.
const EVENT_IDS = sql(
  'forget event ids',
  `delete from event_ids where event_id in (
    ${oldIds('i.at < (select now_ms()) - $1')} union all ${oldIds('i.at > (select now_ms())')})`,
)

// Not for a fanout that has not come so far: if no process delivers it never does, and the sweep finds the destinations that it did not wake.
const CHANGES = sql(
  'forget changes',
  `delete from changes where pos in (
    select c.pos from changes c where c.pos <= (select log_floor from stream) order by c.pos limit ${AT_ONCE})`,
)

/** No EDU entitles `m` to anything any more that its destination `d` has not come past: none that is stored is so old. */
const NO_DURABLE_EDU = `(m.until <= d.durable_pos
        or m.until < coalesce((select min(e.pos) from edus e where e.durable and e.recipients is null), ${Number.MAX_SAFE_INTEGER}))`
const NO_OTHER_EDU = `(m.until <= d.ephemeral_pos
        or (m.until < coalesce((select min(e.pos) from edus e where e.rooms is not null and not e.durable), ${Number.MAX_SAFE_INTEGER})
            and not exists (select 1 from edus e where e.room is not null and not e.durable
                                                   and e.room = m.room and e.pos > m.since and e.pos <= m.until)))`

// Which servers were in the room until then is asked again for as long as something is left to which that entitles a destination that
// has not come past it.
const MEMBERSHIPS = sql(
  'forget memberships',
  `delete from memberships m using (
    select m.room, m.destination, m.since from memberships m join destinations d on d.id = m.destination
     where m.until <= (select log_floor from stream)
       and (m.until <= d.position
            or (not exists (select 1 from kept_events k where k.room = m.room and k.pos > m.since and k.pos <= m.until)
                and not exists (select 1 from events e where e.room = m.room and e.pos > m.since and e.pos <= m.until)))
       and ${NO_DURABLE_EDU}
       and ${NO_OTHER_EDU}
     limit ${AT_ONCE}) old
   where m.room = old.room and m.destination = old.destination and m.since = old.since and m.until is not null`,
)

const isPast = (r: '' | 'r.') =>
  `greatest(${r}head, ${r}durable_head, ${r}edu_head) <= (select log_floor from stream)`

// An ingest that uses a list again at this moment moves one of its heads first: the row is looked at again then, and stays.
const RECIPIENTS = sql(
  'forget recipients',
  `delete from recipients where id in (
    select r.id from recipients r
     where ${isPast('r.')} and not exists (select 1 from kept_events k where k.recipients = r.id)
       and not exists (select 1 from edus e where e.recipients = r.id and e.durable)
       and not exists (select 1 from edus e where e.recipients = r.id and not e.durable)
     limit ${AT_ONCE})
   and ${isPast('')}`,
)

/** `eventIdsMs`: how long duplicates are known. */
export async function forgetOld(db: Db, eventIdsMs: number): Promise<void> {
  const jobs: [Sql, unknown[]][] = [
    [EVENT_IDS, [eventIdsMs]],
    [CHANGES, []],
    [MEMBERSHIPS, []],
    [RECIPIENTS, []],
  ]
  for (const [statement, values] of jobs) {
    for (let commits = 0; commits < MOST_COMMITS; commits += 1) {
      if (((await db.query(statement, values)).rowCount ?? 0) < AT_ONCE) break
    }
  }
}
