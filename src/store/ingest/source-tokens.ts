/** The stored tokens of all sources whose names begin with a prefix: those that a source keeps for its own parts. */
import type { Db } from '../db.ts'
import { sql } from '../statement.ts'

const TOKENS = sql(
  'read the tokens of a source',
  'select source, source_token as token from sources where starts_with(source, $1) order by source',
)

export async function sourceTokens(
  db: Db,
  prefix: string,
): Promise<{ source: string; token: string | null }[]> {
  const { rows } = await db.query<{ source: string; token: string | null }>(TOKENS, [prefix])
  return rows
}

const DROP = sql(
  'drop sources that are done',
  'delete from sources where starts_with(source, $1) and source_token = $2',
)

/** Removes those whose names begin with `prefix` and whose token is `token`, unless it is moved at this moment. */
export async function dropSources(
  db: Db,
  { prefix, token }: { prefix: string; token: string },
): Promise<void> {
  await db.query(DROP, [prefix, token])
}
