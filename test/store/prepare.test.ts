/** Statements with a name and parameters are planned once a connection; all else goes as it is. */
import { expect } from 'chai'
import { inTransaction, openPool, type Pool } from '../../src/store/db.ts'
import { planFor } from '../../src/store/prepare.ts'
import { preparedName, variants } from '../../src/store/statement.ts'
import { freshDatabase } from '../support/postgres.ts'

const asked = variants('list the attempts')

describe('prepared statements', () => {
  let pool: Pool

  before(async () => {
    pool = openPool({ url: (await freshDatabase()).url, max: 2 })
  })
  after(() => pool.end())

  it('are made of statements with a name and parameters, through the pool and in transactions alike', async () => {
    const next = asked('select $1::int + 1')
    await pool.query('select 1')
    await pool.query('select $1::int + 2', [1])
    await pool.query(asked('select 1'))
    await pool.query(planFor(9, next), [1])
    await pool.query(next, [1])
    await inTransaction(pool, (db) => db.query(next, [2]))
    const { rows } = await pool.query(
      `select name, statement, generic_plans + custom_plans as plans from pg_prepared_statements`,
    )
    const name = preparedName(next)
    expect(name).to.match(/^list the attempts [0-9a-f]{8}$/)
    expect(rows).to.deep.equal([{ name, statement: next, plans: 2 }])
  })

  it('have a name of their own on every connection', async () => {
    const both = [await pool.connect(), await pool.connect()]
    for (const [index, client] of both.entries()) {
      const text = asked(`select $1::text as is_${index}`)
      expect((await client.query(text, ['it'])).rows).to.deep.equal([{ [`is_${index}`]: 'it' }])
      expect((await client.query(asked('select $1::int + 1 as two'), [1])).rows).to.deep.equal([{ two: 2 }])
    }
    for (const client of both) client.release()
  })

  it('leave the connection fit for use when one fails', async () => {
    const fails = () => pool.query(asked('select 1 / $1::int as one'), [0])
    expect(await fails().catch((error: unknown) => (error as Error).message)).to.equal('division by zero')
    expect((await pool.query(asked('select 1 / $1::int as one'), [1])).rows).to.deep.equal([{ one: 1 }])
  })
})
