/**
 * What every transaction writes to its destination's row adds nothing to an index (PostgreSQL: a heap-only tuple), else each answer costs an
 * entry in every index of the table, and the indexes grow.
 */
import { expect } from 'chai'
import type pg from 'pg'
import { openPool, type Pool } from '../../../src/store/db.ts'
import { writeAttemptResults } from '../../../src/store/delivery/results.ts'
import { answeredResult, failedResult } from '../../support/attempt-result.ts'
import { freshDatabase } from '../../support/postgres.ts'

const WORKER = '00000000-0000-4000-8000-000000000001'

const HELD = { worker: WORKER, destination: 1, fence: 1 }

describe('what an attempt writes', () => {
  let pool: Pool
  let client: pg.PoolClient
  beforeEach(async () => {
    pool = openPool({ url: (await freshDatabase()).url, max: 1 })
    await pool.query(`insert into workers (id, name, lease_until) values ($1, 'w', now_ms() + 3600000)`, [
      WORKER,
    ])
    await pool.query(
      `insert into destinations (id, name, position, created_at, lease_owner, fence) values (1, 'a.example', 0, 0, $1, 1)`,
      [WORKER],
    )
    client = await pool.connect()
  })
  afterEach(async () => {
    client.release()
    await pool.end()
  })

  for (const [what, resultOf] of Object.entries({ answered: answeredResult, failed: failedResult }))
    it(`that was ${what} adds nothing to an index of the destinations`, async () => {
      await client.query('begin')
      expect(await writeAttemptResults(client, [resultOf(HELD)])).to.deep.equal([true])
      const { rows } = await client.query(
        `select pg_stat_get_xact_tuples_updated(c)::int as updated, pg_stat_get_xact_tuples_hot_updated(c)::int as hot
           from (select 'destinations'::regclass::oid) x (c)`,
      )
      await client.query('rollback')
      expect(rows).to.deep.equal([{ updated: 1, hot: 1 }])
    })
})
