/**
 * Deletes EDUs that are not put into a transaction any more: those whose time is over, durable ones that are older than these are kept, and those of rooms
 * that were purged. Then the sets of rooms that no EDU names.
 *
 * Always: what an unanswered transaction is made of stays until it ends. Nothing is chosen whose time is over (`deliver/edus.ts`), and a freeze asks that again
 * under its clock; a row goes only ten minutes later by every reading of the clock. So no lock is needed against what is frozen meanwhile.
 *
 * An hour may have 3.6 million of them, and what is left of them is read through by who looks for what is newer. So every round
 * takes away what has gathered, in small commits, and goes on at the next one where that was not all.
 */
import { inTransactionOn, type Db } from '../db.ts'
import { heldAt } from '../entitled.ts'
import { addToCounter } from '../ingest/content.ts'
import { waitToAppend } from '../stream.ts'
import { sql } from '../statement.ts'
import { oldUpTo, overSince } from './seen-time.ts'

/** A machine whose clock is fast must not take an EDU from one whose clock is right: rows stay this long after their time, ms. */
const GRACE_MS = 600_000
const DAY_MS = 86_400_000
/** Rows that go in one commit: some 100 ms. */
const AT_ONCE = 5_000
/** Of durable ones it is counted who never got them: a row may have been for thousands. */
const DURABLE_AT_ONCE = 200
const SETS_AT_ONCE = 1_000
/** Commits of one kind a round: more than comes in the time between two of them. */
const MOST_COMMITS = 100

/** $1 the grace. `over`: what ended before this may go; `open`: what unanswered transactions are made of stays. */
const SPARED = `
  over as materialized (select ${overSince('$1')} as at), open as materialized (
    select p.pos from open_transactions o cross join lateral unnest(o.edu_positions) p (pos) where o.edu_txn = o.txn_id and not o.void
  )`

// A purge deletes such rows too, and waits for this at most.
const EXPIRED = sql(
  'forget EDUs',
  `with ${SPARED}
  delete from edus where pos in (
    select e.pos from edus e
     where e.expires_at < (select at from over) and not e.durable and not exists (select from open o where o.pos = e.pos)
     limit ${AT_ONCE} for update of e skip locked)`,
)

// $2: how long durable ones are kept. By the clock, as they are planned; where it is looked for these, the time that was seen says.
const OLD_DURABLE = sql(
  'forget durable EDUs',
  `with ${SPARED}, old as materialized (
    select e.pos from (
      select pos from edus where expires_at < (select at from over) and durable
      union
      select pos from edus where pos <= ${oldUpTo('$2')} and durable and received_ts < (select at from over) - $2::bigint
    ) e where not exists (select from open o where o.pos = e.pos) order by e.pos limit ${DURABLE_AT_ONCE}
  ), gone as (
    delete from edus e using old o where e.pos = o.pos returning e.pos, e.room, e.rooms, e.recipients
  ), late as materialized (
    select d.id, d.durable_pos from destinations d where d.durable_pos < (select max(pos) from old)
  ), of_rooms as (
    select pos, room from gone where room is not null
    union
    select g.pos, x.room from gone g join edu_rooms s on s.id = g.rooms cross join lateral unnest(s.rooms) x (room)
  ), pairs as (
    select l.id, g.pos from gone g join recipients r on r.id = g.recipients cross join lateral unnest(r.list) x (id)
      join late l on l.id = x.id and l.durable_pos < g.pos
    union
    select l.id, g.pos from of_rooms g join memberships m on m.room = g.room and ${heldAt('g.pos')}
      join late l on l.id = m.destination and l.durable_pos < g.pos
  )
  select (select count(*)::int from gone) as edus, (select count(*) from pairs) as pairs`,
)

// What was taken while the clock was ahead would stay, and be sent, until the clock has come there. By the time that was seen since, so that a clock which is
// behind ends nothing. Ahead by less than a day is left to pass: rows are found by their end, and the longest that is usual is a day.
const WRONG_CLOCK = sql(
  'end EDUs of a wrong clock',
  `update edus e set expires_at = n.now from (select now_ms() as now offset 0) n
   where e.received_ts > n.now + $1::bigint and e.pos in (
    select l.pos from edus l where l.pos in (
     select x.pos from edus x where x.expires_at > (select now_ms()) + ${DAY_MS + GRACE_MS}
        and x.received_ts > (select now_ms()) + $1::bigint and x.pos <= ${oldUpTo('(x.expires_at - x.received_ts)')}
     union
     select x.pos from edus x where x.pos <= ${oldUpTo('$2')} and x.durable and x.received_ts > (select now_ms()) + $1::bigint
        and (x.expires_at is null or x.expires_at > (select now_ms()))
    ) limit ${AT_ONCE} for update skip locked)`,
)

/** Ends those that were taken while the clock was far ahead, when they would have ended under a right one. */
export async function endAheadOfTime(db: Db, durableMs: number): Promise<void> {
  await db.query(WRONG_CLOCK, [GRACE_MS, durableMs])
}

/** Durable ones that are given up, by pairs of EDU and destination. */
export const TOO_OLD = 'edus_too_old'

/** Returns how many pairs of a durable EDU and a destination that had not got it went. `durableMs`: how long durable ones are kept. */
export async function forgetEdus(
  db: Db,
  durableMs: number,
  mayGoOn: () => void = () => undefined,
): Promise<number> {
  for (let commits = 0; commits < MOST_COMMITS; commits += 1) {
    mayGoOn()
    if (((await db.query(EXPIRED, [GRACE_MS])).rowCount ?? 0) < AT_ONCE) break
  }
  let givenUp = 0
  for (let commits = 0; commits < MOST_COMMITS; commits += 1) {
    mayGoOn()
    const { edus, pairs } = await inTransactionOn(db, async (db) => {
      const { rows } = await db.query<{ edus: number; pairs: number }>(OLD_DURABLE, [GRACE_MS, durableMs])
      const [row = { edus: 0, pairs: 0 }] = rows
      await addToCounter(db, `given_up:${TOO_OLD}`, row.pairs)
      return row
    })
    givenUp += pairs
    if (edus < DURABLE_AT_ONCE) break
  }
  return givenUp
}

// Those that came before the purge of their room, or of the last room of their set. A purge is noted for as long as the log is kept.
const PURGED = sql(
  'forget EDUs of purged rooms',
  `with purged as materialized (
    select c.room, max(c.pos) as pos from changes c where c.kind = 'purge' group by c.room
  ), sets as materialized (
    select s.id, min(coalesce(p.pos, 0)) as pos from edu_rooms s cross join lateral unnest(s.rooms) x (room) left join purged p on p.room = x.room
     where exists (select from purged) group by s.id
  ), open as materialized (
    select p.pos from open_transactions o cross join lateral unnest(o.edu_positions) p (pos) where o.edu_txn = o.txn_id and not o.void
  )
  delete from edus where pos in (
    select x.pos from (
      select e.pos from purged p join edus e on e.room = p.room where e.durable and e.recipients is null and e.pos < p.pos
      union all
      select e.pos from sets s join edus e on e.rooms = s.id where e.durable and e.recipients is null and e.pos < s.pos
    ) x where not exists (select from open o where o.pos = x.pos) limit ${AT_ONCE})`,
)

/**
 * Removes durable EDUs that are for nobody any more, as all their rooms were purged since. Each commit reads all that rooms have, so this is for once a day.
 */
export async function forgetPurgedEdus(db: Db): Promise<void> {
  for (let commits = 0; commits < MOST_COMMITS; commits += 1)
    if (((await db.query(PURGED)).rowCount ?? 0) < AT_ONCE) return
}

// With the place in the stream up to which that is so.
const UNUSED_SETS = sql(
  'which sets of rooms does no EDU name',
  `select s.id, (select head from stream) as head from edu_rooms s
    left join (select distinct rooms from edus where rooms is not null) e on e.rooms = s.id
   where e.rooms is null limit ${SETS_AT_ONCE}`,
)

// $1 sets, $2 the place. Who appends finds sets without a lock, and names them in the same commit.
const FORGET_SETS = sql(
  'forget sets of rooms',
  'delete from edu_rooms s where s.id = any($1::int[]) and s.id not in (select e.rooms from edus e where e.pos > $2 and e.rooms is not null)',
)

/** Sets of rooms that no EDU names any more. */
export async function forgetRoomSets(db: Db): Promise<void> {
  for (let commits = 0; commits < MOST_COMMITS; commits += 1) {
    const { rows } = await db.query<{ id: number; head: number }>(UNUSED_SETS)
    const [first] = rows
    if (first === undefined) return
    await inTransactionOn(db, async (db) => {
      await waitToAppend(db)
      await db.query(FORGET_SETS, [rows.map(({ id }) => id), first.head])
    })
    if (rows.length < SETS_AT_ONCE) return
  }
}
