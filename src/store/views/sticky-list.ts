/**
 * Unexpired sticky events, a page at a time: all, those of one room, or only those that one destination is still owed.
 */
import type { Db } from '../db.ts'
import { SELECT_EVENT, type EventRow } from './event-facts.ts'
import { owedStickyPositions } from './count-pending.ts'
import type { Page, Paged } from './page.ts'
import { sql, variants } from '../statement.ts'

const ORDERS = {
  position: 'e.pos',
  expires_at: 'e.sticky_until',
  room_id: 'o.room_id',
  sender: 'e.sender',
} as const

export type StickyOrder = keyof typeof ORDERS
export const STICKY_ORDERS = Object.keys(ORDERS) as [StickyOrder, ...StickyOrder[]]

export interface StickyQuery extends Page<StickyOrder> {
  roomId: string | null
  /** Id of a destination: only what it is still owed. */
  destination: number | null
}

const FILTER = `
  s.expires_at > (select now_ms()) and ($1::text is null or s.room = (select id from rooms where room_id = $1))
  and ($2::bigint[] is null or s.pos = any($2))`

const COUNT = sql('count the sticky events', `select count(*) as total from sticky s where ${FILTER}`)

const selectPage = variants('list the sticky events')

/** One page of unexpired sticky events. */
export async function listSticky(db: Db, query: StickyQuery): Promise<Paged<EventRow>> {
  const owed = query.destination === null ? null : await owedStickyPositions(db, query.destination)
  const count = await db.query<{ total: number }>(COUNT, [query.roomId, owed])
  const way = query.dir === 'f' ? 'asc' : 'desc'
  const { rows } = await db.query<EventRow>(
    selectPage(`${SELECT_EVENT} join sticky s on s.pos = e.pos where ${FILTER}
      order by ${ORDERS[query.orderBy]} ${way}, e.pos ${way} limit $3 offset $4`),
    [query.roomId, owed, query.limit, query.from],
  )
  return { rows, total: count.rows[0]?.total ?? 0 }
}
