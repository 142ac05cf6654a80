/**
 * What retention spares of the log: what open gaps still owe, once for all who lag, and what unanswered
 * transactions are made of (their bytes are kept by reference).
 *
 * Always: what is copied is what the log holds. Copying holds the content lock, so that a `redact` or `purge` either
 * finds the copy or is copied. What nobody needs any more goes, and what is too old is given up and counted.
 */
import { inTransactionOn, type Db } from './db.ts'
import { gapPositions } from './gap-rooms.ts'
import { lockContentShared } from './stream.ts'

export interface Needed {
  /** Positions, each with how many destinations are owed it. */
  owed: Map<number, number>
  /** Positions that unanswered transactions are made of. */
  open: Set<number>
}

const GAPS = `
  select g.destination, g.from_pos as from, g.to_pos as to, greatest(g.cursor, d.position) as cursor
    from gaps g join destinations d on d.id = g.destination
   where g.closed_at is null and greatest(g.cursor, d.position) < $1
   order by g.destination`

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
  return { owed, open: await openPositions(db, upto) }
}

/** The one place that knows how far unanswered transactions reach into the log. A void one is made of nothing. */
async function openPositions(db: Db, upto: number): Promise<Set<number>> {
  const { rows } = await db.query<{ pos: number }>(
    'select distinct p as pos from open_transactions o cross join lateral unnest(o.positions) p where not o.void and p <= $1',
    [upto],
  )
  return new Set(rows.map(({ pos }) => pos))
}

/** Takes what was received longer than `maxAgeMs` ago out of what is owed; returns how many pairs that gives up. */
export async function giveUpOld(db: Db, needed: Needed, maxAgeMs: number): Promise<number> {
  const { rows } = await db.query<{ pos: number }>(
    `select e.pos from (select pos, received_ts from events where pos = any($1)
                        union all select pos, received_ts from kept_events where pos = any($1)) e
      where e.received_ts < (select now_ms()) - $2`,
    [[...needed.owed.keys()], maxAgeMs],
  )
  let pairs = 0
  for (const { pos } of rows) {
    // What is unanswered goes on until it is answered or ends.
    if (needed.open.has(pos)) continue
    pairs += needed.owed.get(pos) ?? 0
    needed.owed.delete(pos)
  }
  return pairs
}

const COLUMNS = 'pos, room, event_id, sender, pdu, received_ts, sticky_until, recipients'
/** Events copied in one commit: whoever redacts something waits for no more. */
const AT_ONCE = 200

/** Copies what is needed of the log after `after`; idempotent. */
export async function copyNeeded(db: Db, needed: Needed, after: number): Promise<void> {
  const positions = allOf(needed).filter((pos) => pos > after)
  for (let done = 0; done < positions.length; done += AT_ONCE) {
    await inTransactionOn(db, async () => {
      await lockContentShared(db)
      await db.query(
        `insert into kept_events (${COLUMNS}) select ${COLUMNS} from events where pos = any($1) on conflict (pos) do nothing`,
        [positions.slice(done, done + AT_ONCE)],
      )
    })
  }
}

/** Forgets what nobody needs any more. */
export async function dropUnneeded(db: Db, needed: Needed): Promise<number> {
  const { rowCount } = await db.query(
    'delete from kept_events k where not exists (select 1 from unnest($1::bigint[]) n where n = k.pos)',
    [allOf(needed)],
  )
  return rowCount ?? 0
}

const allOf = ({ owed, open }: Needed) => [...new Set([...owed.keys(), ...open])].sort((a, b) => a - b)
