/**
 * Lets PostgreSQL parse and plan a statement once a connection instead of at every call. For the short statements of a
 * turn that was more than half of their cost.
 *
 * Only statements with a name and parameters are prepared (`statement.ts`), so there are few. A statement whose result
 * would change its columns with the schema (`select d.*`) must not be written: PostgreSQL refuses to run it again on a
 * connection that has prepared it.
 */
import type pg from 'pg'
import { withArrayText } from './array-text.ts'
import { command, preparedName, type Sql } from './statement.ts'

const MANY = '/* many */'
/** As many rows as a plan that was made for one still serves. */
const FEW = 8
/** Where each row is found by a key: a plan for few is good for more, and to make one takes longer than to run it. */
export const FEW_BY_KEY = 32

/**
 * A statement about `rows` rows. For many it is planned at every call, for the numbers of that call: a plan that was made
 * once, for few and for tables without statistics, took fifteen times as long with two hundred.
 */
export const planFor = (rows: number, sql: Sql, few = FEW): Sql =>
  rows > few ? (`${MANY}${sql}` as Sql) : sql

/** The same for a statement that finds each row by a key. */
export const planByKey = (rows: number, sql: Sql): Sql => planFor(rows, sql, FEW_BY_KEY)

/** More than what a statement is prepared for. */
export const isMany = (rows: number): boolean => rows > FEW

const REPLAN = command('discard plans')

/**
 * A plan is made from what the tables hold at that moment. Some hold nothing for most of the time and a row for every destination
 * after an outage: a plan that was made for an empty one reads all of it at every call, and lives as long as its
 * connection. So plans are made anew every so often. Call the result when a connection is given out.
 */
export function makeReplan(everyMs: number, monotonic: () => number): (client: pg.PoolClient) => void {
  const planned = new WeakMap<pg.PoolClient, number>()
  return (client) => {
    const now = monotonic()
    const last = planned.get(client)
    if (last !== undefined && now - last < everyMs) return
    planned.set(client, now)
    // It goes out before what the connection was asked for; where it fails, that does too.
    if (last !== undefined) client.query(REPLAN).catch(() => undefined)
  }
}

/** A program has fewer constant texts than this: the rest goes unprepared. */
const MOST_NAMES = 500

/** Gives each text its name, the same on all connections of a pool. Call the result with each new connection. */
export function makePrepare(): (client: pg.PoolClient) => void {
  const names = new Map<string, string | null>()
  const nameOf = (text: string): string | null => {
    const known = names.get(text)
    if (known !== undefined || names.size >= MOST_NAMES) return known ?? null
    const name = preparedName(text)
    names.set(text, name)
    return name
  }
  return (client) => {
    const query = client.query.bind(client) as (...given: unknown[]) => unknown
    const prepared = (...given: unknown[]): unknown => {
      const [text, values, ...more] = given
      if (typeof text !== 'string' || !Array.isArray(values)) return query(...given)
      const texts = values.map(withArrayText)
      const name = text.startsWith(MANY) ? null : nameOf(text)
      return name === null ? query(text, texts, ...more) : query({ name, text, values: texts }, ...more)
    }
    client.query = prepared as typeof client.query
  }
}
