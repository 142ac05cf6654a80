/**
 * Lists of the admin API, read page by page, and the list of destinations with the urgent ones first.
 */
import { UsageError } from '../cli-error.ts'
import type { DestinationAnswer, DestinationsAnswer, Listed, StatusAnswer } from './answers.ts'
import type { AdminClient, Query } from './client.ts'
import type { DestinationRows } from './destinations.ts'
import { SHAPES, type Shape } from './shape.ts'
import { URGENCY } from './status.ts'

/** Of one request. */
const MOST_OF_A_PAGE = 1000
const USUAL = 100

export interface ListOptions {
  readonly limit?: string | undefined
  readonly all?: boolean | undefined
}

/** How many rows are asked for; null: the API's own page. */
export function mostOf({ limit, all }: ListOptions): number | null {
  if (all === true) {
    if (limit !== undefined) throw new UsageError('--limit or --all, not both')
    return Infinity
  }
  if (limit === undefined) return null
  if (!/^[1-9]\d{0,8}$/.test(limit))
    throw new UsageError(
      `--limit must be a whole number, 1 or more, not ${JSON.stringify(limit.slice(0, 40))}`,
    )
  return Number(limit)
}

interface ListAsked {
  readonly path: string
  /** The field that the rows stand under. */
  readonly field: string
  readonly shape: Shape
  readonly query: Query
  readonly most: number | null
  /** What tells two rows apart: pages are cut at numbers, so that a row can come twice while others come and go. */
  readonly idOf: (row: never) => string
}

/** The answer as of one page; more rows than a page has are put together in it. */
export async function list(
  client: AdminClient,
  { path, field, shape, query, most, idOf }: ListAsked,
): Promise<unknown> {
  type Page = Listed & Record<string, unknown>
  const ask = async (more: Query) => (await client.get(path, shape, { ...query, ...more })) as Page
  const page = (left: number) => ({ limit: String(Math.min(left, MOST_OF_A_PAGE)) })
  const first = await ask(most === null ? {} : page(most))
  if (most === null || most <= MOST_OF_A_PAGE) return first
  const rowsOf = (one: Page) => one[field] as never[]
  const rows = new Map(rowsOf(first).map((row) => [idOf(row), row]))
  let last = first
  let isNew = true
  while (last.next_token != null && rows.size < most && isNew) {
    const before = rows.size
    last = await ask({ ...page(most - before), from: last.next_token })
    for (const row of rowsOf(last)) rows.set(idOf(row), row)
    // Otherwise what answers gives the same page for ever.
    isNew = rows.size > before
  }
  const { next_token, total } = last
  return { ...first, [field]: [...rows.values()], total, next_token }
}

export interface DestinationsAsked {
  readonly state?: string | undefined
  readonly orderBy?: string | undefined
  readonly dir?: string | undefined
  readonly search?: string | undefined
  readonly most: number | null
}

/** In the order that was asked for, else in the API's. */
export function askDestinations(
  client: AdminClient,
  { state, orderBy, dir, search, most }: DestinationsAsked,
): Promise<unknown> {
  return list(client, {
    ...{ path: '/v1/destinations', field: 'destinations', shape: SHAPES.destinations, most },
    query: { state, order_by: orderBy, dir, search },
    idOf: ({ destination }: DestinationAnswer) => destination,
  })
}

/**
 * Urgent ones first: one state after the other, and within each those first to which something has been owed longest.
 * No more is asked for than is shown, so that this costs as much with a hundred thousand destinations as with a thousand.
 */
export async function askUrgentFirst(
  client: AdminClient,
  { state, search, most }: DestinationsAsked,
): Promise<DestinationRows> {
  const { destinations: counts, as_of } = (await client.get('/v1/status', SHAPES.status)) as StatusAnswer
  const known = Object.keys(counts).sort((a, b) => URGENCY.indexOf(a) - URGENCY.indexOf(b))
  const states = state === undefined ? known.filter((one) => (counts[one] ?? 0) > 0) : [state]
  const room = most ?? USUAL
  const rows = new Map<string, DestinationAnswer>()
  let total = 0
  for (const one of states) {
    const left = room - rows.size
    const page = (await askDestinations(client, {
      ...{ state: one, search, orderBy: 'oldest_pending_ms', dir: 'b' },
      most: Math.max(1, left),
    })) as DestinationsAnswer
    total += page.total
    // Meanwhile one may have come into another state.
    for (const row of page.destinations.slice(0, Math.max(0, left))) rows.set(row.destination, row)
  }
  return { destinations: [...rows.values()], total: Math.max(total, rows.size), as_of }
}
