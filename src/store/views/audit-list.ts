/** What operators did, a page at a time. */
import type { Db } from '../db.ts'
import type { Page, Paged } from './page.ts'
import { variants } from '../statement.ts'

export interface ActView {
  /** Ms since the epoch. */
  at: number
  /** The name of the token. */
  who: string
  action: string
  /** A destination, a source, or the glob by which it was done to many. */
  target: string
  /** By a glob: to how many destinations it was done; else null. */
  matched: number | null
}

export const ACT_ORDERS = ['at', 'who', 'action', 'target'] as const

const selectPage = variants('list the acts')

/** One page; `id` settles ties, so that an order by `at` is the order in which they were done. */
export async function listActs(db: Db, page: Page<(typeof ACT_ORDERS)[number]>): Promise<Paged<ActView>> {
  const way = page.dir === 'f' ? 'asc' : 'desc'
  const { rows } = await db.query<Paged<ActView>>(
    selectPage(`select (select count(*) from audit) as total,
            (select coalesce(json_agg(p), '[]') from (
               select at, who, action, target, matched from audit
                order by ${page.orderBy} ${way}, id ${way} limit $1 offset $2) p) as rows`),
    [page.limit, page.from],
  )
  return rows[0] ?? { rows: [], total: 0 }
}
