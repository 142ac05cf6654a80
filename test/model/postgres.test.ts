import type { Pool } from '../../src/store/db.ts'
import { freshDatabase, type FreshDatabase } from '../support/postgres.ts'
import { check } from './check.ts'
import { openModelDatabase, twinDatabase } from './postgres-database.ts'

const RUNS = Number(process.env['LIMPET_MODEL_PG_RUNS'] ?? 40)

describe('the same on PostgreSQL, statement by statement beside the database in memory', function () {
  this.timeout(300_000 + RUNS * 5_000)
  let database: FreshDatabase
  let pool: Pool
  before(async function () {
    this.timeout(300_000)
    database = await freshDatabase()
    pool = await openModelDatabase(database.url)
  })
  after(async () => {
    await pool.end()
    await database.drop()
  })

  it(`keeps what is promised in ${RUNS} random schedules`, async () => {
    await check(() => twinDatabase(pool), { runs: RUNS })
  })
})
