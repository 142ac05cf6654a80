/**
 * What statements cost PostgreSQL, told by its own plans: pages and rows, not time, so that it comes out the same on a busy machine.
 *
 * Each statement is prepared and made to use the plan that is made once for all values, as a daemon's are after a while.
 */
import type pg from 'pg'
import type { Db, Pool } from '../../src/store/db.ts'
import { nameIn, type Sql } from '../../src/store/statement.ts'

export interface Cost {
  name: string
  /** Pages that it read, from memory or not. */
  blocks: number
  /** Rows that its steps made or threw away, all together. */
  rows: number
}

export interface CostedDb extends Db {
  /** Of the statements since the last call. */
  costs(): Cost[]
}

interface Node {
  'Actual Rows': number
  'Actual Loops': number
  'Rows Removed by Filter'?: number
  'Rows Removed by Join Filter'?: number
  'Shared Hit Blocks'?: number
  'Shared Read Blocks'?: number
  Plans?: Node[]
}

const rowsOf = (node: Node): number =>
  (node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0) + (node['Rows Removed by Join Filter'] ?? 0)) *
    node['Actual Loops'] +
  (node.Plans ?? []).reduce((sum, plan) => sum + rowsOf(plan), 0)

/** A connection on which every statement is explained before it is run. Plans stay as they were made. */
export function costed(client: pg.PoolClient): CostedDb {
  let costs: Cost[] = []
  const prepared = new Map<string, string>()

  async function explain(text: string, values: readonly unknown[]): Promise<void> {
    let name = prepared.get(text)
    if (name === undefined) {
      name = `costed_${prepared.size}`
      prepared.set(text, name)
      await client.query('set plan_cache_mode = force_generic_plan')
      await client.query(`prepare ${name} as ${text}`)
    }
    await client.query('begin')
    const given = values.length === 0 ? '' : `(${values.map(literal).join(', ')})`
    const { rows } = await client.query<{ 'QUERY PLAN': [{ Plan: Node }] }>(
      `explain (analyze, buffers, timing off, format json) execute ${name}${given}`,
    )
    await client.query('rollback')
    const plan = rows[0]?.['QUERY PLAN'][0].Plan
    if (plan === undefined) throw new Error('no plan')
    const blocks = (plan['Shared Hit Blocks'] ?? 0) + (plan['Shared Read Blocks'] ?? 0)
    costs.push({ name: nameIn(text) ?? text, blocks, rows: rowsOf(plan) })
  }

  return {
    async query(text, values = []) {
      if (nameIn(text) !== null) await explain(text, values)
      return client.query(text, values as unknown[])
    },
    costs() {
      const told = costs
      costs = []
      return told
    },
  }
}

export interface CostedPool {
  /** Statements with a name are explained before they are run, one at a time, until `costs` is called. */
  pool: Pool
  /** Of the statements so far. */
  costs(): Cost[]
}

/** A pool whose statements are explained on `client`. What is asked within a transaction is not. */
export function costedPool(given: Pool, client: pg.PoolClient): CostedPool {
  const db = costed(client)
  let counts = true
  let last: Promise<unknown> = Promise.resolve()
  const pool = new Proxy(given, {
    get(target, key) {
      if (key !== 'query' || !counts) return Reflect.get(target, key) as unknown
      return (text: Sql, values: unknown[] = []) => {
        const result = last.then(() => db.query(text, values))
        last = result.catch(() => undefined)
        return result
      }
    },
  })
  return {
    pool,
    costs() {
      counts = false
      return db.costs()
    },
  }
}

function literal(value: unknown): string {
  if (value === null || value === undefined) return 'null'
  if (Array.isArray(value)) {
    const items = value.map((one) => (typeof one === 'string' ? JSON.stringify(one) : String(one)))
    return `'{${items.join(',').replaceAll("'", "''")}}'`
  }
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  return `'${(typeof value === 'string' ? value : JSON.stringify(value)).replaceAll("'", "''")}'`
}

export const sumOf = (costs: readonly Cost[]): Cost =>
  costs.reduce(
    (sum, { blocks, rows }) => ({ name: 'all', blocks: sum.blocks + blocks, rows: sum.rows + rows }),
    {
      ...{ name: 'all', blocks: 0, rows: 0 },
    },
  )
