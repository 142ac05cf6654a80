/** The newest attempts to a destination (at most 100 are kept), each with its transaction. */
import type { Db } from '../db.ts'
import type { Page, Paged } from './page.ts'
import { variants } from '../statement.ts'

export interface AttemptView {
  /** Null: it failed before anything was planned. */
  txn_id: string | null
  at: number
  duration_ms: number
  pdus: number
  edus: number
  outcome: string
  status: number | null
  /** What went wrong, in one line; null where it was answered. */
  message: string | null
  /** `{event_id: error}` of the answer; null where it had none. */
  pdu_errors: Record<string, string> | null
}

export const ATTEMPT_ORDERS = ['at', 'duration_ms', 'pdus', 'edus', 'status'] as const

const selectPage = variants('list the attempts')

/** One page of attempts; `seq` settles ties, so that an order by `at` is the order in which they were made. */
export async function listAttempts(
  db: Db,
  destination: number,
  page: Page<(typeof ATTEMPT_ORDERS)[number]>,
): Promise<Paged<AttemptView>> {
  const way = page.dir === 'f' ? 'asc' : 'desc'
  const { rows } = await db.query<Paged<AttemptView>>(
    selectPage(`select (select count(*) from attempts where destination = $1) as total,
            (select coalesce(json_agg(p), '[]') from (
               select txn_id, at, duration_ms, pdus, edus, outcome, status, message, pdu_errors from attempts where destination = $1
                order by ${page.orderBy} ${way} nulls last, seq ${way} limit $2 offset $3) p) as rows`),
    [destination, page.limit, page.from],
  )
  return rows[0] ?? { rows: [], total: 0 }
}
