/**
 * Query strings of the admin API, parsed at the door: paging and filters.
 *
 * Lists are paged with `from` (a `next_token`, or absent), `limit`, `order_by` and `dir`. An impossible value is
 * refused with the parameter's name (contract, section 4).
 */
import type { Page, Paged } from '../../store/views/page.ts'
import { badParam } from './refusal.ts'

const DEFAULT_LIMIT = 100
const MAX_LIMIT = 1000

/** One parameter's text, or null where it is absent. */
export function textOf(query: unknown, name: string): string | null {
  const value = (query as Record<string, unknown>)[name]
  if (value === undefined) return null
  if (typeof value !== 'string') throw badParam(`${name} is given more than once`)
  return value
}

/** One parameter that is one of `choices`, or null where it is absent. */
export function choiceOf<Choice extends string>(
  query: unknown,
  name: string,
  choices: readonly Choice[],
): Choice | null {
  const value = textOf(query, name)
  if (value === null) return null
  const choice = choices.find((one) => one === value)
  if (choice === undefined) throw badParam(`${name} must be one of ${choices.join(', ')}`)
  return choice
}

function wholeOf(
  query: unknown,
  name: string,
  { least, most }: { least: number; most: number },
): number | null {
  const value = textOf(query, name)
  if (value === null) return null
  const number = /^\d{1,15}$/.test(value) ? Number(value) : -1
  if (number < least || number > most) {
    const upTo = most === Number.MAX_SAFE_INTEGER ? 'or more' : `to ${most}`
    throw badParam(`${name} must be a whole number, ${least} ${upTo}`)
  }
  return number
}

/** The page a request asks for; `orders`: the fields it may be ordered by, the first one unless it says so. */
export function pageOf<OrderBy extends string>(
  query: unknown,
  orders: readonly [OrderBy, ...OrderBy[]],
  dir: 'f' | 'b' = 'f',
): Page<OrderBy> {
  return {
    from: wholeOf(query, 'from', { least: 0, most: Number.MAX_SAFE_INTEGER }) ?? 0,
    limit: wholeOf(query, 'limit', { least: 1, most: MAX_LIMIT }) ?? DEFAULT_LIMIT,
    orderBy: choiceOf(query, 'order_by', orders) ?? orders[0],
    dir: choiceOf(query, 'dir', ['f', 'b'] as const) ?? dir,
  }
}

/** `total`, and `next_token` where there is more after this page. */
export function pagingOf(
  { from }: Page<string>,
  { rows, total }: Paged<unknown>,
): {
  total: number
  next_token?: string
} {
  const next = from + rows.length
  return rows.length > 0 && next < total ? { total, next_token: String(next) } : { total }
}
