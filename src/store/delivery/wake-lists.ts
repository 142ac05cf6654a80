/**
 * Whom to wake: after new items (fanout), when a time has come (due), and when a wake was lost (sweep, which gives them a time).
 *
 * All three only name destinations; what each is owed is read by its turn.
 */
import type { Db } from '../db.ts'
import { OWNER_LIVES } from '../held.ts'
import { planFor } from '../prepare.ts'
import { sql, type Sql } from '../statement.ts'
import { ACT_IS_DUE } from './planned-acts.ts'
import { BEHIND_IN_DURABLE_EDUS } from './behind-in-edus.ts'

export interface Sleeper {
  name: string
  /** Its last answer was a quick 200: it goes into the queue `delivery`, else into `recovery`. */
  quick: boolean
}

// `(select now_ms())` is asked once a statement, `now_ms()` once a row: of 10,000 rows that was most of what these cost.

/** Nothing holds it back now: it is not paused, and not failing or held; or its time has come. */
const MAY_GO = `not d.paused
     and ((d.retry_at is null and d.hold_until is null) or d.look_at is null or d.look_at <= (select now_ms()))`

/** No living worker holds it. */
export const UNSERVED = `(d.lease_owner is null or not ${OWNER_LIVES})`

/** A living worker has it in its hands, and sees what is new by itself (`follow.ts`). */
export const FOLLOWED = `(d.follows and ${OWNER_LIVES})`

/**
 * New items concern it now. Not woken: a destination that is paused or failing (its own time brings it back), and one that is due and
 * not yet taken (`DUE` brings it). Both see everything that is there by then. A healthy destination has no such time (`look_at` is null). A destination that is being served is told: its turn may have
 * looked for the last time.
 */
export const IS_TOLD = `not d.paused and (d.look_at is null
     or (d.look_at > (select now_ms()) and d.retry_at is null and d.hold_until is null)
     or (d.look_at <= (select now_ms()) and not ${UNSERVED}))`

// $1 after, $2 the positions after it, $3 up to. With the two ends alone PostgreSQL expects so many rows of a plan made once that it
// makes one at every call, which took longer than what it then did; with the positions alone a long list reads the whole log.
const FOR_NEW_ITEMS = sql(
  'whom do new items concern',
  `with new as materialized (
    select e.room, e.recipients from unnest($2::bigint[]) p (pos) join events e on e.pos = p.pos
     where e.pos > $1 and e.pos <= $3
  ), touched as (select distinct room from new where recipients is null),
  addressed as (select distinct recipients from new where recipients is not null),
  rooms_of_lists as (
    select distinct e.room from new e join recipients r on r.id = e.recipients where not r.exact
  ), who as (
    select m.destination from touched t join memberships m on m.room = t.room and (m.until is null or m.until > $1)
    union
    select m.destination from rooms_of_lists t join memberships m on m.room = t.room and (m.until is null or m.until > $1)
    union
    select unnest(r.list) from addressed a join recipients r on r.id = a.recipients
    union
    select unnest(c.added) from unnest($2::bigint[]) p (pos) join changes c on c.pos = p.pos
     where c.pos > $1 and c.pos <= $3 and c.kind = 'servers'
  )
  select d.name, d.quick, d.fence, not ${UNSERVED} as served from who join destinations d on d.id = who.destination
   where ${IS_TOLD} and not ${FOLLOWED}`,
)

export interface ToldSleeper extends Sleeper {
  /** Grows when it is taken. */
  fence: number
  /** Somebody holds it now. */
  served: boolean
}

/** Those whom events, and servers that are added, concern. */
export const findConcerned = (db: Db, after: number, upto: number): Promise<ToldSleeper[]> =>
  askWhom(db, FOR_NEW_ITEMS, after, upto)

/** `statement`: one of those two, of new items. */
export async function askWhom(db: Db, statement: Sql, after: number, upto: number): Promise<ToldSleeper[]> {
  const { rows } = await db.query<ToldSleeper>(planFor(upto - after, statement), [
    after,
    Array.from({ length: upto - after }, (_, i) => after + 1 + i),
    upto,
  ])
  return rows
}

// One that fails is looked at sooner only for what is sticky, and mostly nothing is: that is asked with the rest.
const NEWS = sql(
  'what is new to the fanout',
  `select c.pos as after, s.head, exists (select from sticky k where k.pos > c.pos and k.pos <= s.head) as sticky,
          greatest(s.durable_head, s.edu_head) > c.pos as edus
     from stream s join cursors c on c.name = 'fanout'`,
)

export interface FanoutNews {
  /** How far the fanout has come. */
  after: number
  head: number
  /** Whether anything between the two is sticky, or was a short time ago. */
  sticky: boolean
  /** Whether there is an EDU between the two, or was. */
  edus: boolean
}

export async function readNews(db: Db): Promise<FanoutNews> {
  const none = { after: 0, head: 0, sticky: false, edus: false }
  return (await db.query<FanoutNews>(NEWS, [])).rows[0] ?? none
}

const MOVE_CURSOR = sql(
  'move a cursor',
  'update cursors c set pos = $2 from stream s where c.name = $1 and c.pos < $2 and $2 <= s.head',
)

/**
 * Two that run at once may both move it: only forward. And not beyond the head, which is an older one after a failover: what
 * comes up to there would be passed over.
 */
export async function moveCursor(db: Db, name: string, pos: number): Promise<void> {
  await db.query(MOVE_CURSOR, [name, pos])
}

const BRING_BACK = sql(
  'bring a cursor back',
  'update cursors c set pos = s.head from stream s where c.name = $1 and c.pos > s.head',
)

/** Back to the head, where it is beyond it. */
export async function bringBackCursor(db: Db, name: string): Promise<void> {
  await db.query(BRING_BACK, [name])
}

/**
 * First those an operator or an advice brought forward, then who answered last: after an outage of ours everybody is behind, and
 * who was alive before it most likely is still. Then those that were never tried, and last those that fail, who failed least first: however
 * often the dead are due again, nobody waits for them who has not been tried yet. A trigger keeps that as one number (migrations 0012, 0017, 0025).
 */
const IN_TURN = 'order by d.turn_key, d.look_at, d.id'

// Two lists: those whose time has come, which an index keeps in this order (`destinations_turn_key`: of 10,000 only the first are
// read), and the destinations followed by a process that has died, which the fanout left out.
const DUE = sql(
  'who is due',
  `select a.due as act, d.name, d.quick, d.look_at as since from (select exists (${ACT_IS_DUE}) as due) a left join (select d.name, d.quick, d.look_at, d.turn_key, d.id from (
     (select d.* from destinations d where d.look_at <= (select now_ms()) and not d.paused and ${UNSERVED} ${IN_TURN} limit $1)
     union all
     select d.* from workers w join destinations d on d.lease_owner = w.id
      where w.lease_until <= (select now_ms()) and d.follows and not d.paused and (d.look_at is null or d.look_at > (select now_ms()))
   ) d ${IN_TURN} limit $1) d on true ${IN_TURN}`,
)

export interface DueSleeper extends Sleeper {
  /** The time that has come: another one is another wake. Null: it was followed by a process that is gone. */
  since: number | null
}

/** Who is due, at most `limit` of them, and whether something is that operators planned for many (`planned-acts.ts`). */
export async function lookForDue(db: Db, limit: number): Promise<{ due: DueSleeper[]; act: boolean }> {
  const { rows } = await db.query<Omit<DueSleeper, 'name'> & { name: string | null; act: boolean }>(DUE, [
    limit,
  ])
  const due = rows.flatMap(({ name, quick, since }) => (name === null ? [] : [{ name, quick, since }]))
  return { due, act: rows[0]?.act === true }
}

export const findDue = async (db: Db, limit: number): Promise<DueSleeper[]> =>
  (await lookForDue(db, limit)).due

// $1: names. Whoever holds one in truth keeps it: only the times to look at it, and the mark of who followed it and died, are taken away.
const PUT_ASIDE = sql(
  'put aside who is blocked',
  `update destinations d set look_at = null, missed = 0, follows = false from (
     select d.id from destinations d where d.name = any($1) and ${UNSERVED} order by d.id for update of d skip locked
   ) l where d.id = l.id and (d.look_at is not null or d.missed > 0 or d.follows)`,
)

/**
 * Takes these out of `findDue` and `findForgotten`: nothing may be sent to them by this process' configuration, or by an operator's
 * block. What they are owed stays. The first sweep under a configuration that allows them brings them back, and each process that hears that a block is gone. Returns how many.
 */
export async function putAside(db: Db, names: readonly string[]): Promise<number> {
  const { rowCount } = await db.query(PUT_ASIDE, [names])
  return rowCount ?? 0
}

/**
 * Destinations with a room that has something newer than their position, in which they are, or were after it. `rooms.head` is the position of a
 * room's newest event, `recipients.head` that of the newest event with this list.
 * Asked for all at once: a look into every room of every destination costs seven times as much.
 */
export const BEHIND_IN_A_ROOM = `
  select m.destination from memberships m join rooms r on r.id = m.room join destinations a on a.id = m.destination
   where r.head > a.position and r.head > m.since and (m.until is null or m.until > a.position)`

/** Who has to be sent again what it did not list: nothing else of it may be owed. What is apart has a time of its own. */
const UNLISTED_AND_DUE = `
  select p.destination from replays p
    join sticky s on s.pos = p.pos and s.expires_at > (select now_ms())
    join memberships m on m.room = s.room and m.destination = p.destination and m.until is null
   where p.state = 'unlisted' and p.next_at <= (select now_ms())
     and not exists (select from apart a where a.destination = p.destination and a.pos = p.pos)`

/**
 * Who is listed by name in what came after its position, or in a durable EDU after its cursor of these. Each list is gone through once, and only those that
 * somebody has not got past: compared with every destination, a thousand lists for a thousand destinations took half a minute.
 */
const BEHIND_IN_A_LIST = `
  select l.id from (
    select x.id, max(r.head) as head, max(r.durable_head) as durable_head from recipients r cross join lateral unnest(r.list) as x (id)
     where r.head > (select min(position) from destinations) or r.durable_head > (select min(durable_pos) from destinations) group by x.id
  ) l join destinations d on d.id = l.id where l.head > d.position or l.durable_head > d.durable_pos`

// It may say too much (never too little): a turn that finds nothing moves the position on, or the cursor of durable EDUs. Those that are not durable wake nobody
// here: they go with what comes next, or lapse.
const OWED = sql(
  'who is owed something',
  `select array(
     ${BEHIND_IN_A_ROOM}
     union ${BEHIND_IN_A_LIST}
     union ${BEHIND_IN_DURABLE_EDUS}
     union select o.destination from open_transactions o
     union select g.destination from gaps g where g.closed_at is null
     union select o.destination from sticky_owed o
     union ${UNLISTED_AND_DUE}
     order by 1) as ids`,
)

/** Ids of all destinations that are owed something, served or not, in order. One sweep asks this once. */
export async function findOwed(db: Db): Promise<number[]> {
  const { rows } = await db.query<{ ids: number[] }>(OWED)
  return rows[0]?.ids ?? []
}

// $1: who is owed something. Who waits for its turn already is not written once more at every sweep.
const MARK_MISSED = sql(
  'who was missed',
  `update destinations d set missed = least(d.missed + 1, 2), look_at = least(d.look_at, (select now_ms()))
   where d.id in (
     select d.id from unnest($1::int[]) as o (id) join destinations d on d.id = o.id
      where ${MAY_GO} and ${UNSERVED} and (d.missed < 2 or d.look_at is null or d.look_at > (select now_ms()))
      order by d.id for update of d skip locked)`,
)

/**
 * Notes those of `owed` that may go and are served by nobody as missed once more. Their time has come with that: `findDue`
 * brings them in their turn, a few at a time. Returns how many.
 */
export async function markMissed(db: Db, owed: readonly number[]): Promise<number> {
  if (owed.length === 0) return 0
  const { rowCount } = await db.query(planFor(owed.length, MARK_MISSED), [owed])
  return rowCount ?? 0
}

const FORGOTTEN = sql(
  'who was forgotten',
  `select d.name from destinations d
      where d.missed >= 2 and ${MAY_GO} and ${UNSERVED}
      ${IN_TURN} limit $1`,
)

/** Those that two sweeps in a row found unserved: the queue has lost them, or they wait for their turn. */
export async function findForgotten(db: Db, limit: number): Promise<string[]> {
  const { rows } = await db.query<{ name: string }>(FORGOTTEN, [limit])
  return rows.map(({ name }) => name)
}
