/** What a process holds in the database while it is stopped (SIGSTOP, a suspended machine): not for long. */
import { expect } from 'chai'
import { inTransaction, isUnavailable, openPool, type Pool } from '../../src/store/db.ts'
import { withSweepLock } from '../../src/store/housekeeping.ts'
import { takeDestination } from '../../src/store/leases.ts'
import { lockStream } from '../../src/store/stream.ts'
import { until } from '../support/poll.ts'
import { freshDatabase, type FreshDatabase } from '../support/postgres.ts'

describe('a process that is stopped in the middle of its work', function () {
  this.timeout(30_000)
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

  it('in a transaction, holds up neither ingest nor whoever takes its destinations for more than some seconds', async () => {
    const worker = '0b6ec3a5-6d05-4c0f-8f3b-3c8a3b0a0c01'
    await other.query(
      `insert into destinations (name, position, created_at) values ('a.example', 0, now_ms())`,
    )
    await other.query(`insert into workers (id, name, lease_until) values ($1, 'other', now_ms() + 60000)`, [
      worker,
    ])
    let goOn: () => void = () => undefined
    let holding: () => void = () => undefined
    const held = new Promise<void>((resolve) => (holding = resolve))
    const work = inTransaction(stopped, async (db) => {
      await lockStream(db)
      await db.query('update destinations set wake_seq = wake_seq + 1')
      holding()
      await new Promise<void>((resolve) => (goOn = resolve))
    }).catch((error: unknown) => error)
    await held
    const began = performance.now()
    expect(await takeDestination(other, worker, 'a.example')).to.include({ kind: 'taken' })
    await inTransaction(other, (db) => lockStream(db))
    expect(performance.now() - began).to.be.below(10_000)
    goOn()
    expect(isUnavailable(await work), 'what the stopped one is told').to.equal(true)
  })

  it('in a sweep, leaves the sweep to another', async () => {
    let goOn: () => void = () => undefined
    const stuck = new Promise<void>((resolve) => (goOn = resolve))
    const sweeping = withSweepLock(stopped, () => stuck, 500).catch((error: unknown) => error)
    const sweep = () => withSweepLock(other, () => Promise.resolve(), 500)
    await until(async () => !(await sweep()), { what: 'the first to have the lock' })
    await until(sweep, { what: 'the second to have it' })
    goOn()
    expect(isUnavailable(await sweeping)).to.equal(true)
  })

  it('leaves a connection as it was after a sweep', async () => {
    const single = openPool({ url: database.url, max: 1 })
    await withSweepLock(single, () => Promise.resolve(), 500)
    const { rows } = await single.query<{ idle_session_timeout: string }>('show idle_session_timeout')
    expect(rows[0]?.idle_session_timeout).to.equal('0')
    await single.end()
  })
})
