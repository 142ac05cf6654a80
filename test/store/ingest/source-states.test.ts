import { expect } from 'chai'
import { makeMetrics } from '../../../src/observe/metrics.ts'
import { makeProgress } from '../../../src/ingest/synapse/progress.ts'
import { openPool, type Pool } from '../../../src/store/db.ts'
import {
  readSourceStates,
  saySourceState,
  type SaidOfSource,
} from '../../../src/store/ingest/source-states.ts'
import { freshDatabase } from '../../support/postgres.ts'

describe('how a source is doing', () => {
  describe('as one process sees it', () => {
    let now = 0
    const clock = { monotonic: () => now }
    const later = (ms: number) => (now += ms)

    it('runs while its place follows the stream, and is not behind however long that goes on', () => {
      const progress = makeProgress(clock)
      for (let at = 1; at < 200; at += 1) {
        progress.saw(at, at - 1)
        later(1_000)
        progress.saw(at, at)
      }
      expect(progress.report()).to.include({ state: 'running', head: 199, place: 199, behindMs: null })
    })

    it('is behind from when the oldest thing was seen that was not taken, and stalled when it has not moved for a minute', () => {
      const progress = makeProgress(clock)
      progress.saw(10, 10)
      later(600_000)
      for (const head of [11, 12, 13, 14, 15, 16, 17]) {
        progress.saw(head, 10)
        later(10_000)
      }
      expect(progress.report()).to.include({ state: 'stalled', head: 17, place: 10, behindMs: 70_000 })
      progress.saw(17, 12)
      expect(progress.report()).to.include({ state: 'running', place: 12, behindMs: 50_000 })
      progress.saw(17, 17)
      expect(progress.report()).to.include({ state: 'running', behindMs: null })
    })

    it('is behind but not stalled while it works on one window, unless it reads the same again and again', () => {
      const progress = makeProgress(clock)
      progress.saw(90, 10)
      for (let at = 11; at < 21; at += 1) {
        later(20_000)
        progress.readTo(at)
      }
      expect(progress.report()).to.include({ state: 'running', place: 10, behindMs: 200_000 })
      for (let again = 0; again < 3; again += 1) {
        for (let at = 11; at < 21; at += 1) progress.readTo(at)
        later(20_000)
      }
      expect(progress.report()).to.include({ state: 'stalled' })
      progress.stored()
      expect(progress.report()).to.include({ state: 'running', place: 10 })
    })

    it('is not stalled where nothing comes', () => {
      const progress = makeProgress(clock)
      for (let i = 0; i < 100; i += 1) {
        progress.saw(10, 10)
        later(5_000)
      }
      expect(progress.report()).to.include({ state: 'running', behindMs: null })
    })

    it('is stalled where its stream cannot be looked at, and says why, once', () => {
      const progress = makeProgress(clock)
      progress.saw(10, 10)
      later(59_000)
      progress.failed(new Error('no route to host'))
      expect(progress.report()).to.include({ state: 'running', behindMs: 59_000, error: 'no route to host' })
      later(1_000)
      expect(progress.report()).to.include({ state: 'stalled', behindMs: 60_000, error: null })
    })

    it('is stalled where its stream ends before our place', () => {
      const progress = makeProgress(clock)
      for (let i = 0; i < 8; i += 1) {
        progress.saw(5, 10)
        later(10_000)
      }
      expect(progress.report()).to.include({ state: 'stalled', behindMs: 80_000 })
    })
  })

  describe('as any process can ask', () => {
    let pool: Pool
    let database: Awaited<ReturnType<typeof freshDatabase>>
    beforeEach(async () => {
      database = await freshDatabase()
      pool = openPool({ url: database.url })
    })
    afterEach(async () => {
      await pool.end()
      await database.drop()
    })
    const say = (said: Partial<SaidOfSource>) =>
      saySourceState(pool, {
        ...{ source: 'synapse', state: 'running', head: 10, place: 10, behindMs: null, error: null },
        ...said,
      })
    const state = async () => {
      const [row] = await readSourceStates(pool)
      if (row === undefined) throw new Error('no source')
      return row
    }
    const passes = (ms: number) =>
      pool.query(
        `insert into settings values ('clock_offset_ms', $1::bigint::text)
         on conflict (key) do update set value = (settings.value::bigint + $1::bigint)::text`,
        [ms],
      )

    it('has no source where none is followed', async () => {
      expect(await readSourceStates(pool)).to.deep.equal([])
    })

    it('says where it is, how far behind, and since when it is so', async () => {
      await say({ head: 12, place: 10, behindMs: 3_000 })
      const first = await state()
      expect(first).to.include({ name: 'synapse', state: 'running', position: 10, behind: 2 })
      expect(first.last_error).to.equal(null)
      expect(first.behind_ms).to.be.within(3_000, 60_000)
      await passes(5_000)
      await say({ head: 12, place: 12 })
      const second = await state()
      expect(second).to.include({ position: 12, behind: 0, behind_ms: 0, since: first.since })
    })

    it('believes who moves, and shows the error of who does not', async () => {
      await say({ place: 10 })
      await say({ state: 'stalled', head: 10, place: 4, behindMs: 90_000, error: 'away' })
      await say({ place: 5 })
      expect(await state()).to.include({ state: 'running', position: 10, behind_ms: 0 })
      expect((await state()).last_error).to.include({ message: 'away' })
      await passes(21_000)
      await say({ state: 'stalled', head: 10, place: 4, behindMs: 90_000 })
      expect(await state()).to.include({ state: 'stalled', position: 4, behind: 6 })
    })

    it('is stopped when nobody has said anything for a while, and falls behind from then on', async () => {
      await say({})
      const { since } = await state()
      await passes(300_000)
      const stopped = await state()
      expect(stopped).to.include({ state: 'stopped', position: 10 })
      expect(stopped.since).to.be.at.least(since)
      expect(stopped.behind_ms).to.be.at.least(300_000)
      await say({})
      expect((await state()).state).to.equal('running')
      expect((await state()).since).to.be.above(stopped.since)
    })
  })

  it('is a metric', async () => {
    const metrics = makeMetrics({ runtime: false })
    metrics.sourceBehind.set({ source: 'synapse' }, 7)
    expect(await metrics.registry.metrics()).to.contain('limpet_source_behind_seconds{source="synapse"} 7')
  })
})
