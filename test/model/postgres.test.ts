import { freshDatabase, type FreshDatabase } from '../support/postgres.ts'
import { check } from './check.ts'
import { makeTwins } from './postgres-database.ts'
import { edus } from './edus.ts'
import { erasing } from './erasing.ts'
import { isolating, quarantined } from './isolating.ts'
import { schedulesOnPostgres } from './lapsing.ts'
import { odd } from './odd.ts'
import { RARE } from './rare.ts'
import { refusingEdus } from './refusing-edus.ts'
import { runSchedule } from './run.ts'
import { schedulesWithBlocks } from './schedule.ts'
import { uplinks } from './uplinks.ts'

const RUNS = Number(process.env['LIMPET_MODEL_PG_RUNS'] ?? 10)

describe('the same on PostgreSQL, statement by statement beside the database in memory', function () {
  this.timeout(600_000 + RUNS * 20_000)
  let database: FreshDatabase
  let twins: ReturnType<typeof makeTwins>
  before(async function () {
    this.timeout(300_000)
    database = await freshDatabase()
    twins = makeTwins(database.url)
  })
  after(async () => {
    await twins.end()
    await database.drop()
  })

  it(`keeps what is promised in ${RUNS} random schedules`, async () => {
    await check(() => twins.fresh(), { runs: RUNS, drawn: schedulesOnPostgres })
  })

  it(`keeps what is promised in ${RUNS} random schedules in which operators block`, async () => {
    await check(() => twins.fresh(), { runs: RUNS, drawn: schedulesWithBlocks })
  })

  it(`keeps what is promised in ${RUNS} random schedules in which a process is cut off`, async () => {
    await check(() => twins.fresh(), { runs: RUNS, drawn: uplinks })
  })

  it(`keeps what is promised in ${RUNS} random schedules in which events and senders are erased`, async () => {
    await check(() => twins.fresh(), { runs: RUNS, drawn: erasing })
  })

  it(`keeps what is promised in ${RUNS} random schedules in which the remote refuses what it does not want`, async () => {
    await check(() => twins.fresh(), { runs: RUNS, drawn: isolating })
  })

  it(`keeps what is promised in ${RUNS} random schedules in which an operator acts on what is set aside`, async () => {
    await check(() => twins.fresh(), { runs: RUNS, drawn: quarantined })
  })

  it(`keeps what is promised in ${RUNS} random schedules in which some events go alone`, async () => {
    await check(() => twins.fresh(), { runs: RUNS, drawn: odd })
  })

  it(`keeps what is promised of EDUs in ${RUNS} random schedules`, async () => {
    await check(() => twins.fresh(), { runs: RUNS, drawn: edus })
  })

  it(`keeps what is promised of EDUs that the remote refuses in ${RUNS} random schedules`, async () => {
    await check(() => twins.fresh(), { runs: RUNS, drawn: refusingEdus })
  })

  it('reads EDUs room by room as the one in memory does', async () => {
    await runSchedule(await twins.fresh(), RARE['read ephemeral EDUs room by room'] ?? [])
  })

  it('blocks, passes over and brings back as the one in memory does', async () => {
    await runSchedule(await twins.fresh(), RARE['who is blocked no more'] ?? [])
  })
})
