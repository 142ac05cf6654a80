/** What a process holds in the database while it is stopped (SIGSTOP, a suspended machine): not for long. */
import { expect } from 'chai'
import { inTransaction, isUnavailable, openPool, type Pool } from '../../src/store/db.ts'
import { withSweepLock } from '../../src/store/upkeep/housekeeping.ts'
import { lockStream } from '../../src/store/stream.ts'
import { until } from '../support/poll.ts'
import { freshDatabase, type FreshDatabase } from '../support/postgres.ts'
import { takeDestination } from '../support/one.ts'

/** A place in the middle of some work: `reached` when the work is there, where it stays until `goOn`. */
function makeStop() {
  let arrive: () => void = () => undefined
  let goOn: () => void = () => undefined
  const reached = new Promise<void>((resolve) => (arrive = resolve))
  const over = new Promise<void>((resolve) => (goOn = resolve))
  return { reached, goOn: () => goOn(), here: () => (arrive(), over) }
}

describe('a process that is stopped in the middle of its work', () => {
  let database: FreshDatabase
  let stopped: Pool
  let other: Pool
  beforeEach(async () => {
    database = await freshDatabase()
    stopped = openPool({ url: database.url, max: 2 })
    other = openPool({ url: database.url, max: 2 })
  })
  afterEach(async () => {
    await Promise.all([stopped.end(), other.end()])
    await database.drop()
  })

  it('in a transaction, holds up neither ingest nor those that take its destinations for more than some seconds', async () => {
    const worker = '0b6ec3a5-6d05-4c0f-8f3b-3c8a3b0a0c01'
    await other.query(
      `insert into destinations (name, position, created_at) values ('a.example', 0, now_ms())`,
    )
    await other.query(`insert into workers (id, name, lease_until) values ($1, 'other', now_ms() + 600000)`, [
      worker,
    ])
    const stop = makeStop()
    const work = inTransaction(stopped, async (db) => {
      await lockStream(db)
      await db.query('update destinations set wake_seq = wake_seq + 1')
      await stop.here()
    }).catch((error: unknown) => error)
    await stop.reached
    const began = performance.now()
    expect(await takeDestination(other, worker, 'a.example')).to.include({ kind: 'taken' })
    await inTransaction(other, (db) => lockStream(db))
    // Five by the rule. Without it nothing ends that transaction, and these wait until their queries are given up (60 s).
    expect(performance.now() - began).to.be.below(40_000)
    stop.goOn()
    expect(isUnavailable(await work), 'what the stopped one is told').to.equal(true)
  })

  it('in a sweep, leaves the sweep to another', async () => {
    const stop = makeStop()
    const sweeping = withSweepLock(stopped, () => stop.here(), 500).catch((error: unknown) => error)
    await stop.reached
    await until(() => withSweepLock(other, () => Promise.resolve()), { what: 'the other to sweep' })
    stop.goOn()
    expect(isUnavailable(await sweeping)).to.equal(true)
  })

  it('in a sweep, is not joined by another before that', async () => {
    const stop = makeStop()
    const sweeping = withSweepLock(stopped, () => stop.here(), 600_000)
    await stop.reached
    const none = () => Promise.reject(new Error('swept beside the first'))
    expect(await withSweepLock(other, none)).to.equal(false)
    stop.goOn()
    expect(await sweeping).to.equal(true)
    expect(await withSweepLock(other, () => Promise.resolve())).to.equal(true)
  })

  it('leaves a connection as it was after a sweep', async () => {
    const single = openPool({ url: database.url, max: 1 })
    await withSweepLock(single, () => Promise.resolve())
    const { rows } = await single.query<{ idle_session_timeout: string }>('show idle_session_timeout')
    expect(rows[0]?.idle_session_timeout).to.equal('0')
    await single.end()
  })
})
