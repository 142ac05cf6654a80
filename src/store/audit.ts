/**
 * What operators did: who (the token's name), when, what, on what. An act and its row are one commit.
 *
 * Always: the newest `KEPT_ACTS` are kept, and no clock decides which. A script that acts every second keeps a day; people keep years.
 */
import type { Db } from './db.ts'
import { sql } from './statement.ts'

/** Rows that are kept. */
export const KEPT_ACTS = 100_000

/** SQL: notes an act; `who`, `action` and `target` are expressions, `from` is what they are of. A row for each of its rows. */
export const noteAct = (who: string, action: string, target: string, from: string): string =>
  `insert into audit (at, who, action, target) select now_ms(), ${who}, ${action}, ${target} from ${from}`

// Ids are drawn in order. What stands before this id, beside a few that a rollback left out, is older than the newest so many.
const FORGET = sql(
  'forget old acts',
  'delete from audit where id <= (select max(id) from audit) - $1::bigint',
)

/** Forgets all but the newest; `kept`: so many ids. */
export async function forgetOldActs(db: Db, kept = KEPT_ACTS): Promise<void> {
  await db.query(FORGET, [kept])
}
