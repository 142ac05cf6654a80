import { expect } from 'chai'
import pg from 'pg'
import { openPool, type Pool } from '../../../src/store/db.ts'
import { makeOldestSnapshot } from '../../../src/store/views/oldest-snapshot.ts'
import { freshDatabase } from '../../support/postgres.ts'

describe('the oldest snapshot', () => {
  let pool: Pool
  let old: pg.Client
  let monotonic = 0
  const oldest = makeOldestSnapshot({ monotonic: () => monotonic })
  beforeEach(async () => {
    const { url } = await freshDatabase()
    pool = openPool({ url, max: 2 })
    old = new pg.Client({ connectionString: url })
    await old.connect()
  })
  afterEach(async () => {
    await old.end()
    await pool.end()
  })

  it('is that of a session which reads, or has written and stays in its transaction', async () => {
    expect(await oldest(pool)).to.equal(0)
    await old.query('begin isolation level repeatable read')
    await old.query('select from stream')
    expect(await oldest(pool)).to.be.greaterThan(0)
    await old.query('rollback')
    expect(await oldest(pool), 'once it has ended').to.equal(0)
    await old.query('begin')
    await old.query(`update cursors set pos = pos`)
    expect(await oldest(pool)).to.be.greaterThan(0)
  })

  it('of which this role may not see the beginning counts from when it was first seen', async () => {
    const role = `small_${process.pid}`
    await pool.query(`create role ${role}`)
    await old.query('begin isolation level repeatable read')
    await old.query('select from stream')
    const one = await pool.connect()
    try {
      await one.query(`set role ${role}`)
      expect(await oldest(one), 'at first').to.equal(0)
      monotonic += 90_000
      expect(await oldest(one)).to.equal(90_000)
      await old.query('rollback')
      expect(await oldest(one)).to.equal(0)
    } finally {
      await one.query('reset role')
      await one.query(`drop role ${role}`)
      one.release()
    }
  })
})
