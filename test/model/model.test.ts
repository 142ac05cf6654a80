import { check } from './check.ts'
import { memoryDatabase } from './database.ts'

const RUNS = Number(process.env['LIMPET_MODEL_RUNS'] ?? 300)

describe('ingest and delivery on a database in memory, against the reference model', function () {
  this.timeout(600_000 + RUNS * 500)

  it(`keeps what is promised in ${RUNS} random schedules`, async () => {
    await check(() => Promise.resolve(memoryDatabase()), { runs: RUNS })
  })
})
