/**
 * What sources remember of the streams that they read, beside their tokens. Only the source knows what it means.
 *
 * Changes are merged, and written only if no operator's command has come since the writer read the row. On a schema
 * before 0008 nothing is remembered.
 */
import { noteAct } from '../audit.ts'
import type { Db } from '../db.ts'
import { sql } from '../statement.ts'

type Json = Readonly<Record<string, unknown>>

const NO_TABLE = '42P01'

const READ = sql('read what a source remembers', 'select timeline from source_timelines where source = $1')

/** Null: nothing is remembered. */
export async function readSourceTimeline(db: Db, source: string): Promise<Json | null> {
  try {
    const { rows } = await db.query<{ timeline: Json }>(READ, [source])
    return rows[0]?.timeline ?? null
  } catch (error) {
    if ((error as { code?: unknown }).code === NO_TABLE) return null
    throw error
  }
}

const CHANGE = sql(
  'change what a source remembers',
  `insert into source_timelines as s (source, timeline) values ($1, $4::jsonb || $2::jsonb)
       on conflict (source) do update set timeline = s.timeline || $2::jsonb
         where coalesce((s.timeline ->> 'continued')::int, 0) = $3::int`,
)

/** Merges `change` in, unless `continued` isn't what is stored; `initial`: what there is before the first change. */
export async function changeTimeline(
  db: Db,
  { source, change, continued, initial }: { source: string; change: Json; continued: number; initial: Json },
): Promise<void> {
  try {
    await db.query(CHANGE, [source, JSON.stringify(change), continued, JSON.stringify(initial)])
  } catch (error) {
    if ((error as { code?: unknown }).code !== NO_TABLE) throw error
  }
}

const GO_ON = sql(
  'let a source go on',
  `with done as (
       update source_timelines set timeline = timeline || '{"goOn": true}'
        where source = $1 and timeline ->> 'restored' is not null
        returning source)
     ${noteAct('$2', "'continue'", 'source', 'done')}`,
)

/** An operator says that a source whose database was restored shall go on. False: it doesn't wait for that. */
export async function wishToContinue(
  db: Db,
  { source, who }: { source: string; who: string },
): Promise<boolean> {
  const { rowCount } = await db.query(GO_ON, [source, who])
  return (rowCount ?? 0) > 0
}
