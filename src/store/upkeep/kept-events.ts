/**
 * What retention keeps of the log: what open gaps still owe, stored once for all destinations that lag, and what
 * unanswered transactions are made of (their bytes are kept by reference).
 *
 * Always: a copy equals what the log contains. Copying holds the content lock, so that a `redact` or `purge` either
 * finds the copy or is itself copied. What is no longer needed is removed, and what is too old is given up and
 * counted. Neither happens while an unanswered transaction is made of it, which is asked under the lock that every
 * freeze holds.
 */
import { addToCounter } from '../ingest/content.ts'
import { inTransactionOn, type Db } from '../db.ts'
import { gapPositions } from '../delivery/gap-rooms.ts'
import { oldUpTo } from './seen-time.ts'
import { lockContent, lockContentShared } from '../stream.ts'
import { OPEN_POSITIONS, takeAway } from '../take-away.ts'
import { sql } from '../statement.ts'

export interface Needed {
  /** Positions, each with how many destinations are owed it. */
  owed: Map<number, number>
  /** Positions that unanswered transactions are made of. */
  open: Set<number>
}

const GAPS = sql(
  'which gaps need it',
  `select g.destination, g.from_pos as from, g.to_pos as to, greatest(g.cursor, d.position) as cursor
    from gaps g join destinations d on d.id = g.destination
   where g.closed_at is null and greatest(g.cursor, d.position) < $1
   order by g.destination`,
)

// What was set aside alone goes with the log; what is searched, or waits with its room, does not.
const APART = sql(
  'what is apart and needs it',
  'select pos, count(*)::int as n from apart where pos <= $1 and (grp is not null or next_at is null) group by pos order by pos',
)

/**
 * What is needed of the log up to `upto`. Call it once no destination needs that part but by a gap: the ranges of gaps
 * are fixed then, so nothing can be needed later that is not now. Throws where `signal` ends it early.
 */
export async function neededUpTo(db: Db, upto: number, signal?: AbortSignal): Promise<Needed> {
  const owed = new Map<number, number>()
  const gaps = await db.query<{ destination: number; from: number; to: number; cursor: number }>(GAPS, [upto])
  for (const { destination, ...gap } of gaps.rows) {
    signal?.throwIfAborted()
    for (const pos of await gapPositions(db, destination, gap, null)) {
      if (pos <= upto) owed.set(pos, (owed.get(pos) ?? 0) + 1)
    }
  }
  for (const { pos, n } of (await db.query<{ pos: number; n: number }>(APART, [upto])).rows)
    owed.set(pos, (owed.get(pos) ?? 0) + n)
  return { owed, open: await openPositions(db, upto) }
}

const OPEN = sql(
  'what unanswered transactions need',
  'select distinct p as pos from open_transactions o cross join lateral unnest(o.positions) p where not o.void and p <= $1',
)

/** The one place that knows how far unanswered transactions reach into the log. A void one is made of nothing. */
async function openPositions(db: Db, upto: number): Promise<Set<number>> {
  const { rows } = await db.query<{ pos: number }>(OPEN, [upto])
  return new Set(rows.map(({ pos }) => pos))
}

// A condition on `k`, whose positions are from $2 to $3. As a join: a list that grew beyond what is hashed would be searched for
// each row, under the lock. Positions of a transaction are in their order, so most transactions are left out by their ends.
const NOT_OPEN = `not exists (
  select from (${OPEN_POSITIONS} and o.positions[1] <= $3 and o.positions[cardinality(o.positions)] >= $2) p (pos) where p.pos = k.pos)`

/** The parameters of statements with that condition; `positions` in their order. */
const ofRange = (positions: readonly number[]) => [positions, positions[0], positions.at(-1)]

// What is unanswered goes on until it is answered or ends.
const GIVE_UP = sql(
  'give up',
  `delete from kept_events k where k.pos = any($1) and ${NOT_OPEN} returning k.pos`,
)

const TOO_OLD = sql(
  'what is too old to be kept',
  `select k.pos from kept_events k where k.pos = any($1) and k.pos <= ${oldUpTo('$2')} order by k.pos`,
)

/**
 * Gives up what was kept and was received longer than `maxAgeMs` ago, and counts it; returns how many pairs of event and
 * destination that were. What is unanswered stays, whenever it was frozen. `rest`: waited for between two commits, each of
 * which makes all deliveries plan anew; where it throws, the rest is given up another time.
 */
export async function giveUpOld(
  db: Db,
  needed: Needed,
  maxAgeMs: number,
  rest: () => Promise<void> = () => Promise.resolve(),
): Promise<number> {
  const { rows } = await db.query<{ pos: number }>(TOO_OLD, [[...needed.owed.keys()], maxAgeMs])
  const old = rows.map(({ pos }) => pos).filter((pos) => !needed.open.has(pos))
  let pairs = 0
  for (let done = 0; done < old.length; done += GIVEN_UP_AT_ONCE) {
    if (done > 0) await rest()
    const some = old.slice(done, done + GIVEN_UP_AT_ONCE)
    const gaveUp = await takeAway(db, async (db) => {
      const positions = (await db.query<{ pos: number }>(GIVE_UP, ofRange(some))).rows.map(({ pos }) => pos)
      const result = positions.reduce((sum, pos) => sum + (needed.owed.get(pos) ?? 0), 0)
      await addToCounter(db, 'given_up:retention', result)
      return { took: positions.length > 0, result: { positions, pairs: result } }
    })
    pairs += gaveUp.pairs
    for (const pos of gaveUp.positions) needed.owed.delete(pos)
  }
  return pairs
}

const COLUMNS = 'pos, room, event_id, sender, pdu, received_ts, sticky_until, recipients, odd'
/** Events copied or dropped in one commit: a redaction or a freeze waits for no more. */
const AT_ONCE = 200
/** Each commit makes all deliveries plan anew, so there are few of them. */
const GIVEN_UP_AT_ONCE = 1_000

const KEEP = sql(
  'keep',
  `insert into kept_events (${COLUMNS}) select ${COLUMNS} from events where pos = any($1) on conflict (pos) do nothing`,
)

/** Copies what is needed of the log after `after`; idempotent. */
export async function copyNeeded(db: Db, needed: Needed, after: number): Promise<void> {
  const positions = allOf(needed).filter((pos) => pos > after)
  for (let done = 0; done < positions.length; done += AT_ONCE) {
    await inTransactionOn(db, async (db) => {
      await lockContentShared(db)
      await db.query(KEEP, [positions.slice(done, done + AT_ONCE)])
    })
  }
}

// $1: the last position that goes. Nearly everything was copied before; the rest is looked up one by one, never by
// reading the log through.
const COPY_OPEN = sql(
  'keep what is unanswered now',
  `insert into kept_events (${COLUMNS})
  select ${COLUMNS} from (
    select distinct p.pos as at from (${OPEN_POSITIONS}) p (pos)
     where p.pos <= $1 and not exists (select 1 from kept_events k where k.pos = p.pos)) open
   cross join lateral (select * from events e where e.pos = open.at limit 1) e
  on conflict (pos) do nothing`,
)

const MOVE_FLOOR = sql('move the floor', 'update stream set log_floor = $1 where log_floor < $1')

/**
 * From now on everything up to `upto` is out of the log, but for what is kept of it. What was frozen since it was copied
 * is copied here, and nothing that was read before is frozen after.
 */
export async function moveFloor(db: Db, upto: number): Promise<void> {
  await takeAway(db, async (db) => {
    await db.query(COPY_OPEN, [upto])
    const { rowCount } = await db.query(MOVE_FLOOR, [upto])
    return { took: (rowCount ?? 0) > 0, result: undefined }
  })
}

const UNNEEDED = sql(
  'what is kept and needed no longer',
  `select k.pos from kept_events k where not exists (select 1 from unnest($1::bigint[]) n where n = k.pos) order by k.pos`,
)
const DROP = sql('keep no longer', `delete from kept_events k where k.pos = any($1) and ${NOT_OPEN}`)

/**
 * Forgets what no destination needs any more. Nothing can come to be owed again that was not when `needed` was read; but what was
 * owed then may be unanswered now, so that is asked again while no delivery can freeze.
 */
export async function dropUnneeded(db: Db, needed: Needed): Promise<number> {
  const { rows } = await db.query<{ pos: number }>(UNNEEDED, [allOf(needed)])
  const unneeded = rows.map(({ pos }) => pos)
  let dropped = 0
  for (let done = 0; done < unneeded.length; done += AT_ONCE) {
    dropped += await inTransactionOn(db, async (db) => {
      await lockContent(db)
      return (await db.query(DROP, ofRange(unneeded.slice(done, done + AT_ONCE)))).rowCount ?? 0
    })
  }
  return dropped
}

const allOf = ({ owed, open }: Needed) => [...new Set([...owed.keys(), ...open])].sort((a, b) => a - b)
