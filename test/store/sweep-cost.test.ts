/** What a sweep costs grows with the rows that there are, not with one number times another. */
import { expect } from 'chai'
import type pg from 'pg'
import { countBacklogs } from '../../src/store/count-backlogs.ts'
import { openPool, type Pool } from '../../src/store/db.ts'
import { findOwed, markMissed } from '../../src/store/wake-lists.ts'
import { costed, sumOf, type CostedDb } from '../support/plans.ts'
import { freshDatabase } from '../support/postgres.ts'

/** Destinations, lists of recipients, and destinations in each list. */
const [D, R, L] = [300, 400, 20]
const HEAD = 1_000_000

describe('a sweep', () => {
  let pool: Pool
  let client: pg.PoolClient
  let db: CostedDb
  before(async () => {
    pool = openPool({ url: (await freshDatabase()).url, max: 2 })
    await pool.query('update stream set head = $1', [HEAD])
    await pool.query(
      `insert into destinations (name, position, created_at) select 'd' || i, $2, 0 from generate_series(1, $1::int) i`,
      [D, HEAD],
    )
    await pool.query(
      `insert into recipients (hash, exact, list, less, head)
       select 'h' || i, true, array(select 1 + (i * 7 + n * 13) % $2 from generate_series(1, $3::int) n), '{}', i
         from generate_series(1, $1::int) i`,
      [R, D, L],
    )
    await pool.query('analyze')
    client = await pool.connect()
    db = costed(client)
  })
  after(async () => {
    client.release()
    await pool.end()
  })

  const sweep = async () => {
    const owed = await findOwed(db)
    await markMissed(db, owed)
    await countBacklogs(db, owed)
    return { owed, rows: sumOf(db.costs()).rows }
  }

  it('reads no list where everybody is past it', async () => {
    const { owed, rows } = await sweep()
    expect(owed).to.deep.equal([])
    expect(rows).to.be.below(5 * (D + R))
  })

  it('goes through each list once where somebody is behind, not once for each destination', async () => {
    await pool.query('update destinations set position = 0 where id <= 10')
    const { owed, rows } = await sweep()
    expect(owed).to.have.length(10)
    expect(rows).to.be.below(5 * (D + R * L))
  })

  it('compares no destination with all that are behind', async () => {
    await pool.query('update destinations set position = 0, pending_pdus = 1, missed = 2, look_at = 0')
    const { owed, rows } = await sweep()
    expect(owed).to.have.length(D)
    expect(rows).to.be.below(40 * (D + R * L))
  })
})
