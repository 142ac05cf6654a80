/**
 * Which worker serves a destination now: workers with a lease, and destinations with an owner and a fence.
 *
 * A worker is one process for as long as its lease was never late; after that it takes a new id. A
 * destination is taken when it has no owner or its owner's lease has ended, never before. Every write of a
 * holder names worker and fence, and asks that the worker's time is not over.
 * What that means in SQL is in `held.ts`.
 */
import type { Db } from '../db.ts'
import { ALIVE, HELD_AS_SAID, holding, IN_ORDER, LOCKED, MAY_WRITE, ownedBy, UNHELD } from '../held.ts'
import { planByKey } from '../prepare.ts'
import { nothingForgottenSince } from '../stream.ts'
import { sql } from '../statement.ts'

export interface Held {
  worker: string
  destination: number
  fence: number
}

const REGISTER = sql(
  'register a worker',
  'insert into workers (id, name, lease_until) values ($1, $2, now_ms() + $3)',
)

export async function registerWorker(
  db: Db,
  worker: { id: string; name: string; leaseMs: number },
): Promise<void> {
  await db.query(REGISTER, [worker.id, worker.name, worker.leaseMs])
}

/** What a process says of itself with each renewal (contract 5.11); times by the database's clock. */
export interface SelfReport {
  /** When it was last answered, ms since the epoch; null: not yet. */
  answeredAt: number | null
  /** It takes its failures for its own fault; null: it doesn't. */
  trouble: { kind: string; since: number } | null
}

const RENEW = sql(
  'renew a worker',
  `update workers w set lease_until = now_ms() + $2, answered_at = $3, own_trouble = $4, own_trouble_since = $5
    where id = $1 and ${MAY_WRITE}`,
)

/** False when the lease was over already: it must not live again, its destinations may be another worker's. */
export async function renewWorker(
  db: Db,
  { id, leaseMs, report }: { id: string; leaseMs: number; report?: SelfReport },
): Promise<boolean> {
  const { answeredAt = null, trouble = null } = report ?? {}
  const values = [id, leaseMs, answeredAt, trouble?.kind ?? null, trouble?.since ?? null]
  const { rowCount } = await db.query(RENEW, values)
  return rowCount === 1
}

const RETIRE = sql(
  'let go of all of a worker',
  `with locked as (select d.id from destinations d where d.lease_owner = $1 ${IN_ORDER})
     update destinations d set ${UNHELD} from locked l where d.id = l.id and d.lease_owner = $1`,
)

const REMOVE = sql('remove a worker', 'delete from workers where id = $1')

export async function retireWorker(db: Db, id: string): Promise<void> {
  await db.query(RETIRE, [id])
  await db.query(REMOVE, [id])
}

const GIVE_UP = sql(
  'give back all of a worker',
  `with locked as (select d.id from destinations d where d.lease_owner = $1 ${IN_ORDER})
     update destinations d set ${UNHELD}, look_at = now_ms() from locked l where d.id = l.id and d.lease_owner = $1`,
)

/** Gives back all of a worker that has lost its lease and has nothing under way any more: they are looked at at once. */
export async function giveUpWorker(db: Db, id: string): Promise<void> {
  await db.query(GIVE_UP, [id])
  await db.query(REMOVE, [id])
}

// One statement: were the look and the wish two, the holder could let go between them and the wake be lost.
const TAKE = sql(
  'take the destination',
  `with input as (
    -- A number is given so that PostgreSQL expects few, and plans this once: to plan it at each call took longer than to run it.
    select * from unnest($1::uuid[], $2::text[]) i (worker, name) limit $3
  ), locked as (
    select d.id, d.name, d.lease_owner, i.worker from destinations d join input i on i.name = d.name ${IN_ORDER}
  ), alive as materialized (
    select w.worker, w.writes from living((select array_agg(distinct who) from (
      select worker as who from locked union select lease_owner from locked where lease_owner is not null) x)) w
  ), judged as materialized (
    select l.id, l.name, l.worker, a.alive, a.alive and (l.lease_owner is null or l.lease_owner = l.worker or not a.owned) as free
      from locked l, lateral (select exists (select from alive w where w.worker = l.worker and w.writes) as alive,
                                     exists (select from alive w where w.worker = l.lease_owner) as owned) a
  )
  update destinations d
     set lease_owner = case when f.free then f.worker else d.lease_owner end,
         fence = d.fence + case when f.free then 1 else 0 end,
         follows = d.follows and not f.free,
         missed = case when f.free then 0 else d.missed end,
         wake_seq = d.wake_seq + case when f.free then 0 else 1 end
    from judged f
   where d.id = f.id
  returning d.id, d.name, d.fence, f.free, f.alive`,
)

export interface ToTake {
  worker: string
  name: string
}

export type Taken =
  | { kind: 'taken'; held: Held }
  /** Another worker has it, and looks again before it lets go. */
  | { kind: 'held' }
  /** Our own lease is over. */
  | { kind: 'over' }
  | { kind: 'unknown' }

/**
 * Takes each of these destinations, or tells its holder to look again before it lets go. No name is in there twice. A worker that owns one already
 * takes it again: it makes sure itself that it serves no destination twice.
 */
export async function takeDestinations(db: Db, takings: readonly ToTake[]): Promise<Taken[]> {
  const { rows } = await db.query<{ id: number; name: string; fence: number; free: boolean; alive: boolean }>(
    planByKey(takings.length, TAKE),
    [takings.map(({ worker }) => worker), takings.map(({ name }) => name), takings.length],
  )
  const found = new Map(rows.map((row) => [row.name, row]))
  return takings.map(({ worker, name }) => {
    const row = found.get(name)
    if (row === undefined) return { kind: 'unknown' }
    if (row.free) return { kind: 'taken', held: { worker, destination: row.id, fence: row.fence } }
    return { kind: row.alive ? 'held' : 'over' }
  })
}

const GIVE_WAY = sql(
  'give way',
  `${holding()}
  update destinations d set ${UNHELD}, look_at = $4 from held h where d.id = h.id returning d.quick`,
)

/** Lets go although more is left. Whether its last answer was quick (which says its queue), or null when the lease is lost. */
export async function giveWay(db: Db, held: Held, lookAt: number): Promise<boolean | null> {
  const { rows } = await db.query<{ quick: boolean }>(GIVE_WAY, [
    held.worker,
    held.fence,
    held.destination,
    lookAt,
  ])
  return rows[0]?.quick ?? null
}

const OWNED = sql('find what is owned', 'select id, name, fence from destinations where lease_owner = $1')

/** What `worker` owns. It knows itself which of them it serves: compared in the database, 10,000 names with 10,000 took seconds. */
export async function findOwned(db: Db, worker: string): Promise<{ name: string; held: Held }[]> {
  const { rows } = await db.query<{ id: number; name: string; fence: number }>(OWNED, [worker])
  return rows.map(({ id, name, fence }) => ({ name, held: { worker, destination: id, fence } }))
}

const ABANDON = sql(
  'release what was abandoned',
  `update destinations d set ${UNHELD}, look_at = now_ms() + $4
      where d.id = $3 and ${ownedBy('$1::uuid')} and d.fence = $2`,
)

/** Lets go of what a turn that broke off has left behind; it is looked at again after `afterMs`. */
export async function releaseAbandoned(db: Db, held: Held, afterMs: number): Promise<boolean> {
  const { rowCount } = await db.query(ABANDON, [held.worker, held.fence, held.destination, afterMs])
  return rowCount === 1
}

const BUMP = sql(
  'ask for another look',
  'update destinations set wake_seq = wake_seq + 1 where name = $1 returning lease_owner is not null as held',
)

/** Tells its holder to look again before it lets go. False: it has no holder. */
export async function bumpWake(db: Db, name: string): Promise<boolean> {
  const { rows } = await db.query<{ held: boolean }>(BUMP, [name])
  return rows[0]?.held !== false
}

// `wake_seq` null: not asked. `position` null: it stays.
const LET_GO = sql(
  'let go',
  `with input as (
    select * from unnest($1::int[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
                         $9::bigint[], $10::bigint[])
      as i (destination, worker, fence, look_at, position, wake_seq, read_at, deadline_at, durable_pos, ephemeral_pos) limit $11
  ), ${LOCKED}, ${ALIVE}
  update destinations d set ${UNHELD}, look_at = i.look_at, deadline_at = i.deadline_at, position = greatest(d.position, coalesce(i.position, d.position)),
         durable_pos = greatest(d.durable_pos, i.durable_pos), ephemeral_pos = greatest(d.ephemeral_pos, i.ephemeral_pos)
    from input i, alive o, locked l
   where ${HELD_AS_SAID} and o.worker = i.worker and (i.wake_seq is null or d.wake_seq = i.wake_seq)
     and (i.position is null or ${nothingForgottenSince('i.read_at')})
  returning d.id`,
)

/** How a destination is let go. */
export interface LettingGo {
  held: Held
  /** A wish that came after it is not passed over; null: not asked. */
  wakeSeq: number | null
  /** When it must be looked at again, ms since the epoch; null: when something new comes. */
  lookAt: number | null
  /** When it is tried for a sticky event that would lapse, ms since the epoch; null or absent: it is not. */
  deadlineAt?: number | null
  /** The log held nothing for it up to there, as read when the head was at `readAt`. */
  position: number | null
  readAt: number
  /** How far the lanes of its EDUs are; null or absent: where they were. */
  edus?: EduCursors | null
}

export interface EduCursors {
  readonly durable: number
  readonly ephemeral: number
}

/** Lets go of each. False where a look was wished meanwhile, a room was forgotten since, or the lease is lost. No destination is in there twice. */
export async function releaseDestinations(db: Db, released: readonly LettingGo[]): Promise<boolean[]> {
  const { rows } = await db.query<{ id: number }>(planByKey(released.length, LET_GO), [
    released.map(({ held }) => held.destination),
    released.map(({ held }) => held.worker),
    released.map(({ held }) => held.fence),
    released.map(({ lookAt }) => (lookAt === null ? null : Math.ceil(lookAt))),
    released.map(({ position }) => position),
    released.map(({ wakeSeq }) => wakeSeq),
    released.map(({ readAt }) => readAt),
    released.map(({ deadlineAt }) => (deadlineAt == null ? null : Math.ceil(deadlineAt))),
    released.map(({ edus }) => edus?.durable ?? null),
    released.map(({ edus }) => edus?.ephemeral ?? null),
    released.length,
  ])
  const gone = new Set(rows.map(({ id }) => id))
  return released.map(({ held }) => gone.has(held.destination))
}
