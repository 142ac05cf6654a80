/**
 * Holders that follow the log: they keep a destination after its last transaction for a while and see new items
 * by themselves, so that they need no wake.
 *
 * Always: `follows` is true only while a holder sees every item after the head at which it last looked at the
 * rows. Taking, giving way and letting go make it false; before a holder looks at the rows again it does so too.
 */
import type { Db } from '../db.ts'
import { ALIVE, HELD_AS_SAID, LOCKED, ownedBy, UNHELD, UNNARROWED } from '../held.ts'
import type { Held } from './leases.ts'
import { planFor } from '../prepare.ts'
import { sql, type Sql } from '../statement.ts'

export interface Following {
  held: Held
  /** As it was when the holder last looked: a wish of another makes it look again. */
  wakeSeq: number
  /** Likewise: what was taken away from it since, the holder does not know. */
  narrowedSeq: number
  /** It is owed nothing up to here. */
  position: number
  /** And no durable EDU up to here, and no other one. */
  durablePos: number
  ephemeralPos: number
}

/** The memberships of a room; those of `destination` at the same index are of events with since < pos <= until. */
export interface RoomMembers {
  room: number
  destination: number[]
  since: number[]
  until: number[]
}

/** A destination as its holder knows it. */
export interface HeldDestination {
  destination: number
  wakeSeq: number
}

const WISHED = sql(
  'who of the followed is wished for',
  `select i.destination as id from unnest($1::int[], $2::bigint[]) as i (destination, wake_seq)
    join destinations d on d.id = i.destination
   where d.wake_seq <> i.wake_seq or d.look_at <= now_ms()`,
)

/** Per destination: whether a look at its rows was wished since its holder looked, or a time for one has come. */
export async function areWished(db: Db, them: readonly HeldDestination[]): Promise<boolean[]> {
  const { rows } = await db.query<{ id: number }>(planFor(them.length, WISHED), [
    them.map(({ destination }) => destination),
    them.map(({ wakeSeq }) => wakeSeq),
  ])
  const wished = new Set(rows.map(({ id }) => id))
  return them.map(({ destination }) => wished.has(destination))
}

const INPUT = `
  with input as (
    select * from unnest($1::int[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[])
      as i (destination, worker, fence, wake_seq, position, narrowed_seq, durable_pos, ephemeral_pos)
  ), ${LOCKED}, ${ALIVE}, done as (`
const HELD_AND_UNASKED = (condition = '') => `
      from input i, alive w, locked l
     where ${HELD_AS_SAID}
       and w.worker = i.worker and d.wake_seq = i.wake_seq and ${UNNARROWED} ${condition}
    returning d.id, i.position)`

const CURSORS = `position = greatest(d.position, i.position), durable_pos = greatest(d.durable_pos, i.durable_pos),
           ephemeral_pos = greatest(d.ephemeral_pos, i.ephemeral_pos)`

// A replay that went ahead of the timeline must not go again with it: then the rows decide.
const NOTHING_AHEAD = `
       and not exists (select 1 from replays p where p.destination = d.id and p.pos > i.position)`

const FOLLOW = sql(
  'begin to follow',
  `${INPUT}
    update destinations d set follows = true, look_at = null, ${CURSORS}
    ${HELD_AND_UNASKED(NOTHING_AHEAD)}
  select id from done`,
)

const RELEASE = sql(
  'let go of the followed',
  `${INPUT}
    update destinations d
       set ${UNHELD}, look_at = null, ${CURSORS}
    ${HELD_AND_UNASKED()}
  select id from done`,
)

const argumentsOf = (them: readonly Following[]) => [
  them.map(({ held }) => held.destination),
  them.map(({ held }) => held.worker),
  them.map(({ held }) => held.fence),
  them.map(({ wakeSeq }) => wakeSeq),
  them.map(({ position }) => position),
  them.map(({ narrowedSeq }) => narrowedSeq),
  them.map(({ durablePos }) => durablePos),
  them.map(({ ephemeralPos }) => ephemeralPos),
]

/** Begins to follow; per destination, whether it did: else a look at the rows is due. */
export const beginToFollow = (db: Db, them: readonly Following[]): Promise<boolean[]> =>
  written(db, FOLLOW, them)

/** Lets go of those that were not asked to look again; per destination, whether it did. */
export const releaseFollowers = (db: Db, them: readonly Following[]): Promise<boolean[]> =>
  written(db, RELEASE, them)

async function written(db: Db, statement: Sql, them: readonly Following[]): Promise<boolean[]> {
  const { rows } = await db.query<{ id: number }>(planFor(them.length, statement), argumentsOf(them))
  const done = new Set(rows.map(({ id }) => id))
  return them.map(({ held }) => done.has(held.destination))
}

// $1 rooms, $2 position: members that had left before it are not asked for. In one order, so that a twin can be held against it.
const MEMBERS = sql(
  'who is in the rooms',
  `select room, array_agg(destination) as destination, array_agg(since) as since,
         array_agg(coalesce(until, ${Number.MAX_SAFE_INTEGER})) as until
    from (select * from memberships where room = any($1) and (until is null or until > $2)
           order by room, destination, since) m
   group by room`,
)

/** The memberships of rooms that reach beyond position `after`. */
export async function readMembers(db: Db, rooms: readonly number[], after: number): Promise<RoomMembers[]> {
  const found = await db.query<RoomMembers>(MEMBERS, [rooms, after])
  const known = new Map(found.rows.map((row) => [row.room, row]))
  // A room without members is known too.
  return rooms.map((room) => known.get(room) ?? { room, destination: [], since: [], until: [] })
}

const STOP = sql(
  'stop following',
  `update destinations d set follows = false where d.id = $1 and ${ownedBy('$2::uuid')} and d.fence = $3`,
)

/** The holder is going to look at the rows again: from now on it is woken. False: it no longer holds it. */
export async function stopFollowing(db: Db, { worker, destination, fence }: Held): Promise<boolean> {
  const { rowCount } = await db.query(STOP, [destination, worker, fence])
  return rowCount === 1
}
