/**
 * The totals of `limpet status`: the backlog as of the last sweep, the stream's head and the throughput as of now, and how the backlog
 * changed between the last two counts.
 */
import type { Db } from '../db.ts'
import { sql } from '../statement.ts'

export interface TotalsRow {
  now: number
  head: number
  pending_pdus: number
  pending_sticky: number
  oldest_pending: number | null
  /** When the counts were made; null: no sweep has run yet. */
  counted_at: number | null
  /** PDUs in transactions that were answered in the last `windowMs`. */
  sent: number
}

/** What came between the last two counts. */
export interface BacklogPace {
  ms: number
  /** Items that were taken. */
  items: number
  /** By how many PDUs the backlog grew; negative: it shrank. */
  pdus: number
}

/** Two counts are at least so far apart. */
export const PACE_MS = 10_000
/** Counts farther apart, or older, say nothing of now: nobody swept. */
const STALE_MS = 600_000

// The sweep notes when it has counted, also where nothing has changed since the one before.
const countedWhen = `select pos from cursors where name = 'counted_at'`
const COUNTED_AT = sql('when was it counted', countedWhen)

const COUNTS = sql('read the last two counts', `select name, pos from cursors where name like 'counted%'`)

const SELECT_TOTALS = sql(
  'read the totals',
  `select t.now, (select head from stream) as head, c.*, (${countedWhen}) as counted_at,
         (select coalesce(sum(a.pdus), 0)::bigint from attempts a where a.at > t.now - $1::bigint and a.outcome = 'answered') as sent
    from (select now_ms() as now) t,
         (select coalesce(sum(pending_pdus), 0)::bigint as pending_pdus, coalesce(sum(pending_sticky), 0)::bigint as pending_sticky,
                 min(oldest_pending) as oldest_pending from destinations) c`,
)

/** Totals over all destinations. `windowMs`: how far back throughput is measured. */
export async function readTotals(db: Db, windowMs: number): Promise<TotalsRow> {
  const { rows } = await db.query<TotalsRow>(SELECT_TOTALS, [windowMs])
  const row = rows[0]
  if (row === undefined) throw new Error('the stream has no row: the database was not migrated')
  return row
}

/** `counted_at`, `now`: of the totals. Null: there are no two counts, or they say nothing of now. */
export async function readPace(
  db: Db,
  { counted_at: at, now }: Pick<TotalsRow, 'counted_at' | 'now'>,
): Promise<BacklogPace | null> {
  if (at === null || now - at > STALE_MS) return null
  const { rows } = await db.query<{ name: string; pos: number }>(COUNTS)
  const of = new Map(rows.map(({ name, pos }) => [name, pos]))
  const grown = (what: string): number =>
    (of.get(`counted_${what}`) ?? NaN) - (of.get(`counted_before_${what}`) ?? NaN)
  const pace = { ms: grown('at'), items: grown('head'), pdus: grown('pdus') }
  // A comparison with what is not there is false.
  return pace.ms >= PACE_MS && pace.ms <= STALE_MS && pace.items >= 0 && Number.isFinite(pace.pdus)
    ? pace
    : null
}

/** When backlog was last counted (ms since the epoch); null: no sweep has run yet. */
export async function countedAt(db: Db): Promise<number | null> {
  return (await db.query<{ pos: number }>(COUNTED_AT)).rows[0]?.pos ?? null
}
