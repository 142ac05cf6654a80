/** Which destinations fail, and which answer again: all, or what has changed since a moment. */
import type { Db } from '../db.ts'
import { sql } from '../statement.ts'
import { WAIT_COLUMNS, waitingOf, type WaitRow, type WaitState } from '../waits.ts'

export interface Reachability {
  /** By the database's clock, ms. */
  now: number
  failing: { name: string; waiting: WaitState }[]
  /** Failing no more. */
  up: string[]
}

// $1: only what has changed since then, ms; null: every failing destination, and none that is back.
const CHANGED = sql(
  'who cannot be reached',
  `select now_ms() as now, d.name, d.failing_since is null as up, ${WAIT_COLUMNS}
    from (select 1) one left join destinations d
      on (d.failing_since is not null and ($1::bigint is null or d.failing_since >= $1))
      or (d.failing_since is null and d.up_at >= $1)
   order by d.name`,
)

type Row = WaitRow & { now: number; name: string | null; up: boolean }

export async function readReachability(db: Db, since: number | null): Promise<Reachability> {
  const { rows } = await db.query<Row>(CHANGED, [since])
  const found = rows.flatMap((row) => (row.name === null ? [] : [{ ...row, name: row.name }]))
  return {
    now: rows[0]?.now ?? 0,
    failing: found.filter(({ up }) => !up).map((row) => ({ name: row.name, waiting: waitingOf(row) })),
    up: found.filter(({ up }) => up).map(({ name }) => name),
  }
}
