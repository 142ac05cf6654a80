/** To which `server_name` a database is bound, asked without binding it. */
import type { Db } from './db.ts'

/** Null: to none yet. The schema must be there. */
export async function boundServerName(db: Db): Promise<string | null> {
  const { rows } = await db.query<{ value: string }>(`select value from settings where key = 'server_name'`)
  return rows[0]?.value ?? null
}
