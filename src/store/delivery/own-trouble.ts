/**
 * Own trouble (contract 5.11) in the database: what failed for it is put back, its time is taken out of `failing_since`, and processes see each
 * other's. Nothing here runs while all is well.
 */
import type { Db } from '../db.ts'
import { OWNER_LIVES } from '../held.ts'
import { planByKey } from '../prepare.ts'
import { sql } from '../statement.ts'
import type { WaitState } from '../waits.ts'

/** What a failed attempt has changed in a row, and what it was before. */
export interface PutBack {
  destination: number
  before: WaitState & { timeoutMs: number | null; quick: boolean }
  /** As the attempt left it. A row that has changed since is not touched. */
  after: Pick<WaitState, 'failures' | 'retryAt' | 'triedAt'>
}

// The holder of one looks again before it lets go (`wake_seq`). An attempt has used up wishes and advice: these are put back too, beside those that came
// since. With a null, least() gives the other value, as it should. An embargo is what a destination asked for, so no such failure has changed it.
const PUT_BACK = sql(
  'put back what failed for us',
  `with input as (
    select (t->>'destination')::int as destination, t->'before' as b, t->'after' as a from jsonb_array_elements($1::jsonb) t limit $2
  ), locked as (
    select d.id from destinations d join input i on i.destination = d.id
     where d.failures = (a->>'failures')::int and d.tried_at = (a->>'triedAt')::bigint
       and d.retry_at is not distinct from (a->>'retryAt')::bigint
     order by d.id for update of d
  )
  update destinations d
     set failures = (b->>'failures')::int, failing_since = (b->>'failingSince')::bigint,
         retry_at = (b->>'retryAt')::bigint, retry_interval = (b->>'retryInterval')::bigint,
         advice_at = least(d.advice_at, (b->>'adviceAt')::bigint), advice_up = d.advice_up or (b->>'adviceUp')::boolean,
         advice_after = (b->>'adviceAfter')::bigint, advice_step = (b->>'adviceStep')::bigint,
         asked_at = least(d.asked_at, (b->>'askedAt')::bigint), tried_at = (b->>'triedAt')::bigint,
         deadline_tries = nullif(array(select jsonb_array_elements_text(b->'deadlineTries')::bigint), '{}'),
         timeout_ms = (b->>'timeoutMs')::int, quick = (b->>'quick')::boolean,
         look_at = now_ms(), wake_seq = d.wake_seq + 1
    from input i, locked l where d.id = l.id and i.destination = d.id
  returning d.id`,
)

/** Puts each back as it was, and due, unless something happened to it since. Returns how many. No destination is in there twice. */
export async function putBack(db: Db, them: readonly PutBack[]): Promise<number> {
  const { rowCount } = await db.query(planByKey(them.length, PUT_BACK), [JSON.stringify(them), them.length])
  return rowCount ?? 0
}

// $1: when it began. What another process has counted of it already is not counted again: it waits for the row of the cursor, and then sees it moved.
const LEAVE_OUT = sql(
  'leave own trouble out',
  `with c as (select pos from cursors where name = 'own_trouble' for update),
  n as materialized (select now_ms() as now, greatest($1::bigint, c.pos) as since from c),
  counted as (update cursors set pos = n.now from n where name = 'own_trouble' and n.since < n.now),
  locked as (
    select d.id from destinations d, n where d.failing_since < n.now and n.since < n.now order by d.id for update of d
  )
  update destinations d set failing_since = n.now - greatest(0, n.since - d.failing_since)
    from n, locked l where d.id = l.id and d.failing_since is not null`,
)

/** That time from `began` until now counts for nobody as time in which it failed. */
export async function leaveTimeOut(db: Db, began: number): Promise<void> {
  await db.query(LEAVE_OUT, [began])
}

// $1: our worker, $2: when it began, $3: for how long an answer says something, ms.
const ANSWERED = sql(
  'does another process get answers',
  `select exists (select from workers w where w.id is distinct from $1::uuid and w.lease_until > now_ms()
      and w.answered_at > $2::bigint and w.answered_at > now_ms() - $3::bigint) as answered`,
)

/** Whether a process that lives got an answer since it began here, and lately. */
export async function doesAnotherGetAnswers(
  db: Db,
  { worker, began, withinMs }: { worker: string | null; began: number; withinMs: number },
): Promise<boolean> {
  const { rows } = await db.query<{ answered: boolean }>(ANSWERED, [worker, began, withinMs])
  return rows[0]?.answered === true
}

/** So many names are enough to say that others are there, unless all of them are blocked. */
const OTHERS = 100

// $1: who was tried, $2: our worker, $3: since when an answer makes it known, $4: before which it must have been, as otherwise another process got it.
const OTHER_KNOWN = sql(
  'who else answered of late',
  `select d.name from destinations d
    where d.last_success > now_ms() - $3::bigint and d.last_success <= now_ms() - $4::bigint and d.id <> all($1::int[])
      and not d.paused and d.failing_since is null
      and (d.lease_owner is null or d.lease_owner is not distinct from $2::uuid or not ${OWNER_LIVES})
    order by d.id limit ${OTHERS}`,
)

/**
 * Names of destinations that answered in the last `knownMs`, and not in the last `windowMs`, beside `tried`, that no other process holds and that don't
 * wait out a backoff; the first of them.
 */
export async function readOtherKnown(
  db: Db,
  {
    tried,
    worker,
    knownMs,
    windowMs,
  }: { tried: readonly number[]; worker: string | null; knownMs: number; windowMs: number },
): Promise<string[]> {
  const { rows } = await db.query<{ name: string }>(OTHER_KNOWN, [tried, worker, knownMs, windowMs])
  return rows.map(({ name }) => name)
}

/** A process that takes its failures for its own fault, for operators. */
export interface TroubledProcess {
  process: string
  kind: 'no_answer' | 'refused_401'
  /** ms since the epoch. */
  since: number
}

const TROUBLED = sql(
  'who is in trouble of its own',
  `select name as process, own_trouble as kind, own_trouble_since as since from workers
    where own_trouble is not null and lease_until > now_ms() order by own_trouble_since, name`,
)

export async function readTroubled(db: Db): Promise<TroubledProcess[]> {
  return (await db.query<TroubledProcess>(TROUBLED)).rows
}
