/**
 * The table of destinations: searched, sorted, and read a page at a time.
 *
 * Counts are the last sweep's. A state is decided outside the database, from a narrow row; so a filter by state reads
 * the narrow rows of all destinations (10,000 in some 20 ms) and only the page's rows in full.
 */
import type { Db } from '../db.ts'
import type { DestinationOrder } from './destination-orders.ts'
import { LOCKED_OUT, readDestinations, type DestinationRow } from './destination-row.ts'
import { OWED_DURABLE_EDUS } from './owed-edus.ts'
import type { Page, Paged } from './page.ts'
import { variants } from '../statement.ts'

/** What a destination's state depends on. */
export type StateRow = Pick<
  DestinationRow,
  | 'id'
  | 'name'
  | 'paused'
  | 'failures'
  | 'failing_since'
  | 'retry_at'
  | 'hold_kind'
  | 'hold_until'
  | 'advice_at'
  | 'advice_up'
  | 'asked_at'
  | 'deadline_at'
  | 'pending_pdus'
  | 'pending_sticky'
  | 'pending_edus'
  | 'owes_edus'
  | 'gap_to'
  | 'open_txn_id'
  | 'locked'
>

// Alias of the API to what is stored. An age grows as its time shrinks.
const ORDERS: Record<DestinationOrder, string> = {
  destination: 'd.name',
  position: 'd.position',
  pending_pdus: 'd.pending_pdus',
  pending_sticky: 'd.pending_sticky',
  oldest_pending_ms: '-d.oldest_pending',
  failing_since: 'd.failing_since',
  last_attempt: 'd.last_attempt',
  last_success: 'd.last_success',
  retry_interval_ms: 'd.retry_interval',
}

// Destinations without a value are last both ways: an operator does not look for them.
const orderOf = ({ orderBy, dir }: Page<DestinationOrder>) => {
  const way = dir === 'f' ? 'asc' : 'desc'
  return `order by ${ORDERS[orderBy]} ${way} nulls last, d.id ${way}`
}

const MATCHES = `($1::text is null or position(lower($1) in lower(d.name)) > 0)`

const selectStates = `
  select d.id, d.name, d.paused, d.failures, d.failing_since, d.retry_at, d.hold_kind, d.hold_until, d.advice_at, d.advice_up, d.asked_at, d.deadline_at,
         d.pending_pdus, d.pending_sticky, u.id is not null as owes_edus, g.to_pos as gap_to, o.txn_id as open_txn_id, ${LOCKED_OUT} as locked
    from destinations d
    left join gaps g on g.destination = d.id and g.closed_at is null
    left join open_transactions o on o.destination = d.id
    left join ${OWED_DURABLE_EDUS} u on u.id = d.id`

export interface DestinationQuery extends Page<DestinationOrder> {
  /** Part of a name, in any case. */
  search: string | null
  /** Which ones to list, where that is not for the database to say. */
  keep: ((row: StateRow) => boolean) | null
}

/** One page of destinations, in order. */
export async function listDestinations(db: Db, query: DestinationQuery): Promise<Paged<DestinationRow>> {
  const { ids, total, owing } = await (query.keep === null
    ? findIds(db, query)
    : filterIds(db, query, query.keep))
  const rows = new Map(
    (await readDestinations(db, ids)).map((row) => [row.id, { ...row, owes_edus: owing.has(row.id) }]),
  )
  return { rows: ids.flatMap((id) => rows.get(id) ?? []), total }
}

interface PageOfIds {
  ids: number[]
  total: number
  /** Those by whose durable EDUs a state was told. */
  owing: ReadonlySet<number>
}

const selectPage = variants('list the destinations')

async function findIds(db: Db, query: DestinationQuery): Promise<PageOfIds> {
  const { rows } = await db.query<{ ids: number[]; total: number; owing: number[] }>(
    selectPage(`with page as materialized (
              select array(select d.id from destinations d where ${MATCHES} ${orderOf(query)} limit $2 offset $3) as ids)
     select (select count(*) from destinations d where ${MATCHES}) as total, p.ids,
            array(select u.id from ${OWED_DURABLE_EDUS} u where u.id = any(p.ids)) as owing
       from page p`),
    [query.search, query.limit, query.from],
  )
  const { ids, total, owing } = rows[0] ?? { ids: [], total: 0, owing: [] }
  return { ids, total, owing: new Set(owing) }
}

const selectSome = variants('read the states to list some')

async function filterIds(
  db: Db,
  query: DestinationQuery,
  keep: (row: StateRow) => boolean,
): Promise<PageOfIds> {
  const { rows } = await db.query<StateRow>(
    selectSome(`${selectStates} where ${MATCHES} ${orderOf(query)}`),
    [query.search],
  )
  const kept = rows.filter(keep)
  const page = kept.slice(query.from, query.from + query.limit)
  const owing = new Set(page.flatMap(({ id, owes_edus }) => (owes_edus === true ? [id] : [])))
  return { ids: page.map(({ id }) => id), total: kept.length, owing }
}
