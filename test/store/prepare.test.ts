/** Statements with parameters are planned once a connection; all else goes as it is. */
import { expect } from 'chai'
import { inTransaction, openPool, type Pool } from '../../src/store/db.ts'
import { freshDatabase } from '../support/postgres.ts'

describe('prepared statements', () => {
  let pool: Pool

  before(async () => {
    pool = openPool({ url: (await freshDatabase()).url, max: 2 })
  })
  after(() => pool.end())

  const PREPARED = `select statement, generic_plans + custom_plans as plans from pg_prepared_statements where name like 'limpet%'`

  it('are made of statements with parameters, through the pool and in transactions alike', async () => {
    await pool.query('select 1')
    await pool.query('select $1::int + 1', [1])
    await inTransaction(pool, (db) => db.query('select $1::int + 1', [2]))
    const { rows } = await pool.query(PREPARED)
    expect(rows).to.deep.equal([{ statement: 'select $1::int + 1', plans: 2 }])
  })

  it('have a name of their own on every connection', async () => {
    const both = [await pool.connect(), await pool.connect()]
    for (const [index, client] of both.entries()) {
      const text = `select $1::text as is_${index}`
      expect((await client.query(text, ['it'])).rows).to.deep.equal([{ [`is_${index}`]: 'it' }])
      expect((await client.query('select $1::int + 1 as two', [1])).rows).to.deep.equal([{ two: 2 }])
    }
    for (const client of both) client.release()
  })

  it('leave the connection fit for use when one fails', async () => {
    const fails = () => pool.query('select 1 / $1::int as one', [0])
    expect(await fails().catch((error: unknown) => (error as Error).message)).to.equal('division by zero')
    expect((await pool.query('select 1 / $1::int as one', [1])).rows).to.deep.equal([{ one: 1 }])
  })
})
