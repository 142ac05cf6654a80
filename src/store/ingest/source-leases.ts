/**
 * Which process follows a source: a lease in the database, by the database's time.
 *
 * It saves work and protects nothing: what is taken from a source is protected by its token.
 */
import type { Db } from '../db.ts'
import { sql } from '../statement.ts'

export interface SourceLease {
  readonly source: string
  /** The process, as long as it lives. */
  readonly holder: string
}

// One that ends later than any is given was given before the clock was set back.
const TAKE = sql(
  'take a source',
  `insert into source_leases as l (source, holder, until) values ($1, $2, now_ms() + $3)
  on conflict (source) do update set holder = excluded.holder, until = excluded.until
   where l.holder = excluded.holder or l.until <= now_ms() or l.until > now_ms() + 2 * $3::bigint`,
)

/** Takes it for `ms`, also again; false: another one has it. */
export async function takeSource(db: Db, { source, holder }: SourceLease, ms: number): Promise<boolean> {
  const { rowCount } = await db.query(TAKE, [source, holder, ms])
  return rowCount === 1
}

const RELEASE = sql('let go of a source', 'delete from source_leases where source = $1 and holder = $2')

export async function releaseSource(db: Db, { source, holder }: SourceLease): Promise<void> {
  await db.query(RELEASE, [source, holder])
}
