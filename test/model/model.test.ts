import { check } from './check.ts'
import { memoryDatabase } from './database.ts'

const RUNS = Number(process.env['LIMPET_MODEL_RUNS'] ?? 1_000)

describe('ingest and delivery on a database in memory, against the reference model', function () {
  this.timeout(Math.max(120_000, RUNS * 200))

  it(`keeps what is promised in ${RUNS} random schedules`, async () => {
    await check(() => Promise.resolve(memoryDatabase()), { runs: RUNS })
  })
})
