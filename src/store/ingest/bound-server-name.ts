/** The `server_name` to which a database is bound, read without binding it. */
import type { Db } from '../db.ts'
import { sql } from '../statement.ts'

const SERVER_NAME = sql('read the server name', `select value from settings where key = 'server_name'`)

/** Null: to none yet. The schema must be there. */
export async function boundServerName(db: Db): Promise<string | null> {
  const { rows } = await db.query<{ value: string }>(SERVER_NAME)
  return rows[0]?.value ?? null
}
