import { expect } from 'chai'
import { besideASearch } from './beside-a-search.ts'
import { check } from './check.ts'
import { memoryDatabase } from './database.ts'
import { edus } from './edus.ts'
import { edusBeside } from './edus-beside.ts'
import { erasing } from './erasing.ts'
import { isolating, quarantined } from './isolating.ts'
import { lapsing } from './lapsing.ts'
import { locked } from './locked.ts'
import { neverRun } from './never-run.ts'
import { odd } from './odd.ts'
import { RARE } from './rare.ts'
import { refusingEdus } from './refusing-edus.ts'
import { runSchedule } from './run.ts'
import { schedulesWithBlocks } from './schedule.ts'
import { unlistedAndHeld } from './unlisted-and-held.ts'
import { uplinks } from './uplinks.ts'

/** As many as `npm test` runs are enough to run every statement that is not rare. */
const ENOUGH = 300
const RUNS = Number(process.env['LIMPET_MODEL_RUNS'] ?? ENOUGH)

describe('ingest and delivery on a database in memory, against the reference model', function () {
  this.timeout(600_000 + RUNS * 500)
  const ran = new Set<string>()

  it(`keeps what is promised in ${RUNS} random schedules`, async () => {
    await check(() => Promise.resolve(memoryDatabase({}, ran)), { runs: RUNS })
  })

  it('keeps what is promised where operators block', async () => {
    await check(() => Promise.resolve(memoryDatabase({}, ran)), {
      runs: Math.ceil(RUNS / 3),
      drawn: schedulesWithBlocks,
    })
  })

  it('keeps what is promised where events and senders are erased', async () => {
    await check(() => Promise.resolve(memoryDatabase({}, ran)), { runs: Math.ceil(RUNS / 3), drawn: erasing })
  })

  it('keeps what is promised of EDUs', async () => {
    await check(() => Promise.resolve(memoryDatabase({}, ran)), { runs: Math.ceil(RUNS / 3), drawn: edus })
  })

  it('keeps what is promised of EDUs beside what else happens', async () => {
    await check(() => Promise.resolve(memoryDatabase({}, ran)), {
      runs: Math.ceil(RUNS / 3),
      drawn: edusBeside,
    })
  })

  it('keeps what is promised of EDUs that the remote refuses', async () => {
    await check(() => Promise.resolve(memoryDatabase({}, ran)), {
      runs: Math.ceil(RUNS / 3),
      drawn: refusingEdus,
    })
  })

  it('keeps what is promised where sticky events would lapse while we fail', async () => {
    await check(() => Promise.resolve(memoryDatabase({}, ran)), { runs: Math.ceil(RUNS / 3), drawn: lapsing })
  })

  it('keeps what is promised where a process takes failures for its own fault', async () => {
    await check(() => Promise.resolve(memoryDatabase({}, ran)), { runs: Math.ceil(RUNS / 3), drawn: uplinks })
  })

  it('keeps what is promised where the remote refuses what it does not want', async () => {
    await check(() => Promise.resolve(memoryDatabase({}, ran)), {
      runs: Math.ceil(RUNS / 3),
      drawn: isolating,
    })
  })

  it('keeps what is promised where much else happens during a search', async () => {
    await check(() => Promise.resolve(memoryDatabase({}, ran)), {
      runs: Math.ceil(RUNS / 3),
      drawn: besideASearch,
    })
  })

  it('keeps what is promised where what is not listed is of a room that waits', async () => {
    await check(() => Promise.resolve(memoryDatabase({}, ran)), {
      runs: Math.ceil(RUNS / 3),
      drawn: unlistedAndHeld,
    })
  })

  it('keeps what is promised where an operator acts on what is set aside', async () => {
    await check(() => Promise.resolve(memoryDatabase({}, ran)), {
      runs: Math.ceil(RUNS / 3),
      drawn: quarantined,
    })
  })

  it('keeps what is promised where the remote lets nobody in', async () => {
    await check(() => Promise.resolve(memoryDatabase({}, ran)), { runs: Math.ceil(RUNS / 3), drawn: locked })
  })

  it('keeps what is promised where some events go alone', async () => {
    await check(() => Promise.resolve(memoryDatabase({}, ran)), { runs: Math.ceil(RUNS / 3), drawn: odd })
  })

  for (const [name, schedule] of Object.entries(RARE)) {
    it(`keeps what is promised where it comes to “${name}”`, async () => {
      const ranHere = new Set<string>()
      await runSchedule(memoryDatabase({}, ranHere), schedule)
      expect([...ranHere]).to.include(name)
      for (const one of ranHere) ran.add(one)
    })
  }

  it('runs every statement of ingest, delivery and upkeep that has no reason not to be run', function () {
    const { lines, unexplained, run } = neverRun(ran)
    console.log(`      ${lines}`)
    expect(run, 'run, although test/model/not-run.ts says that they are not').to.deep.equal([])
    if (RUNS < ENOUGH) this.skip()
    expect(unexplained, 'never run').to.deep.equal([])
  })
})
