/** A database that falls silent: who waits on it gets an error, and who comes later a new connection. */
import { expect } from 'chai'
import { systemClock } from '../../src/pace/clock.ts'
import { isUnavailable, openPool, type Pool } from '../../src/store/db.ts'
import { watchForSilence, type SilenceWatch } from '../../src/store/silence.ts'
import { until } from '../support/poll.ts'
import { freshDatabase } from '../support/postgres.ts'
import { startRoughProxy, type RoughProxy } from '../support/rough-proxy.ts'

const log = { warn: () => undefined, info: () => undefined }

/** Longer than a busy machine keeps a question waiting. */
const PATIENCE_MS = 3_000

describe('a database that falls silent', () => {
  let proxy: RoughProxy
  let pool: Pool
  let direct: Pool
  let url: URL
  let watch: SilenceWatch | undefined
  beforeEach(async () => {
    proxy = await startRoughProxy()
    url = new URL((await freshDatabase()).url)
    direct = openPool({ url: url.href, max: 2 })
    proxy.forwardTo(Number(url.port))
    url.port = String(proxy.port)
    pool = openPool({ url: url.href, max: 4 })
  })
  afterEach(async () => {
    await watch?.stop()
    watch = undefined
    await proxy.close()
    await Promise.all([pool.end(), direct.end()])
  })
  const start = (patienceMs: number) => {
    watch = watchForSilence(pool, { url: url.href, clock: systemClock, log, everyMs: 50, patienceMs })
  }
  const sessions = async (name: string) =>
    (await direct.query(`select from pg_stat_activity where application_name = $1`, [name])).rowCount

  /** What `ask` fails with, before the client itself gives up its queries (60 s). */
  const soon = async (ask: () => Promise<unknown>): Promise<unknown> => {
    const began = performance.now()
    const error = await ask().catch((reason: unknown) => reason)
    expect(performance.now() - began).to.be.below(40_000)
    return error
  }

  it('gives an error to the callers that wait, and new connections to the next when it speaks again', async () => {
    start(PATIENCE_MS)
    const idle = await Promise.all([pool.connect(), pool.connect(), pool.connect()])
    idle.forEach((client) => client.release())
    proxy.goSilent()
    const error = await soon(() => pool.query('select 1'))
    expect(error).to.be.an.instanceOf(Error)
    expect(isUnavailable(error), (error as Error).message).to.equal(true)
    proxy.speak()
    await until(() => pool.totalCount === 0, { what: 'the connections of before to be given up' })
    expect((await pool.query<{ one: number }>('select 1 as one')).rows).to.deep.equal([{ one: 1 }])
  })

  it('finds out connections that were forgotten while new ones get through', async () => {
    start(PATIENCE_MS)
    await until(async () => (await sessions('limpet-watch')) === 1, { what: 'the first question' })
    const client = await pool.connect()
    client.on('error', () => undefined)
    proxy.goSilent()
    proxy.speak()
    const error = await soon(() => client.query('select 1'))
    client.release(true)
    expect(isUnavailable(error), String(error)).to.equal(true)
    expect((await pool.query('select 1')).rowCount).to.equal(1)
  })

  it('leaves a long statement alone while the database answers others', async () => {
    const holder = await direct.connect()
    await holder.query('select pg_advisory_lock(1)')
    start(30_000)
    const waiting = pool.query<{ got: string }>(`select 'it' as got from pg_advisory_lock(1)`)
    const asked = `select from pg_stat_activity where application_name = 'limpet-watch' and query like '%pg_is_in_recovery%' and state = 'idle'`
    const questions = new Set<string>()
    await until(
      async () => {
        const { rows } = await direct.query<{ at: string }>(
          asked.replace('select', 'select query_start::text as at'),
        )
        rows.forEach(({ at }) => questions.add(at))
        return questions.size > 3
      },
      { what: 'some questions to be answered' },
    )
    await holder.query('select pg_advisory_unlock(1)')
    holder.release()
    expect((await waiting).rows).to.deep.equal([{ got: 'it' }])
  })

  it('asks no more once it is stopped, also in the middle of a question', async () => {
    start(60_000)
    await until(async () => (await sessions('limpet-watch')) === 1, { what: 'the first question' })
    proxy.goSilent()
    await watch?.stop()
    watch = undefined
  })
})
