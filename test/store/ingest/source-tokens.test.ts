/** The tokens that a source keeps for parts of itself: removed when they say that there is nothing more, and no others. */
import { expect } from 'chai'
import { openPool, type Pool } from '../../../src/store/db.ts'
import { dropSources, sourceTokens } from '../../../src/store/ingest/source-tokens.ts'
import { moveHead } from '../../../src/store/stream.ts'
import { holdTransaction } from '../../support/hold.ts'
import { freshDatabase, type FreshDatabase } from '../../support/postgres.ts'

describe('the tokens of a source’s parts', () => {
  let database: FreshDatabase
  let pool: Pool
  beforeEach(async () => {
    database = await freshDatabase()
    pool = openPool({ url: database.url })
  })
  afterEach(async () => {
    await pool.end()
    await database.drop()
  })
  const store = (tokens: Record<string, string>, db: Parameters<typeof moveHead>[0] = pool) =>
    moveHead(db, 0, { tokens: new Map(Object.entries(tokens)), now: 1 })
  const names = async (prefix = '') => (await sourceTokens(pool, prefix)).map(({ source }) => source)
  const drop = () => dropSources(pool, { prefix: 'synapse/', token: 'done' })

  it('go where they are done, and all others stay', async () => {
    await store({ 'synapse/!a': 'done', 'synapse/!b': 'after=3', other: 'done', synapse: 'done' })
    await drop()
    expect(await names()).to.deep.equal(['other', 'synapse', 'synapse/!b'])
    expect(await names('synapse/')).to.deep.equal(['synapse/!b'])
  })

  it('stay where another process moves one on at this moment', async () => {
    await store({ 'synapse/!a': 'done' })
    const moving = await holdTransaction(pool)
    await store({ 'synapse/!a': 'after=7' }, moving)
    const dropped = drop()
    await moving.query('commit')
    moving.release()
    await dropped
    expect(await sourceTokens(pool, 'synapse/')).to.deep.equal([{ source: 'synapse/!a', token: 'after=7' }])
  })
})
