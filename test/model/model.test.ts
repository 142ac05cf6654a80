import { check } from './check.ts'
import { makeMemoryDriver } from './memory-driver.ts'

const RUNS = Number(process.env['LIMPET_MODEL_RUNS'] ?? 2_000)

describe('the planner on tables in memory, against the reference model', function () {
  this.timeout(Math.max(60_000, RUNS * 60))

  it(`keeps what is promised in ${RUNS} random schedules`, async () => {
    await check(() => Promise.resolve(makeMemoryDriver()), { runs: RUNS })
  })
})
