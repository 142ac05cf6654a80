import type { Pool } from '../../src/store/db.ts'
import { freshDatabase, type FreshDatabase } from '../support/postgres.ts'
import { check } from './check.ts'
import { makePostgresDriver, openModelDatabase } from './postgres-driver.ts'

const RUNS = Number(process.env['LIMPET_MODEL_PG_RUNS'] ?? 60)

describe('delivery on PostgreSQL, against the reference model', function () {
  this.timeout(60_000 + RUNS * 2_000)
  let database: FreshDatabase
  let pool: Pool
  before(async function () {
    this.timeout(60_000)
    database = await freshDatabase()
    pool = await openModelDatabase(database.url)
  })
  after(async () => {
    await pool.end()
    await database.drop()
  })

  it(`keeps what is promised in ${RUNS} random schedules`, async () => {
    await check(() => makePostgresDriver(pool), { runs: RUNS })
  })
})
