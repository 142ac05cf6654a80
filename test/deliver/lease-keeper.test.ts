/** A lease that is lost is given back: what it held is free at once, and looked at, not after the rest of the lease. */
import { expect } from 'chai'
import type { Clock } from '../../src/pace/clock.ts'
import { makeLeaseKeeper, type Lease } from '../../src/deliver/lease-keeper.ts'
import { makeLog } from '../../src/observe/log.ts'
import { openPool, type Pool } from '../../src/store/db.ts'
import { until } from '../support/poll.ts'
import { freshDatabase, type FreshDatabase } from '../support/postgres.ts'
import { takeDestination } from '../support/one.ts'

const NAME = 'b.example'
const LEASE_MS = 15_000
const log = makeLog({ level: 'silent', pretty: false })

describe('a lease', () => {
  let database: FreshDatabase
  let pool: Pool
  beforeEach(async () => {
    database = await freshDatabase()
    pool = openPool({ url: database.url })
    await pool.query(
      `insert into destinations (id, name, position, created_at) values (1, '${NAME}', 0, 0), (2, 'c.example', 0, 0)`,
    )
  })
  afterEach(async () => {
    await pool.end()
    await database.drop()
  })

  /** A keeper whose time passes only in `passes`, and what it does with it. */
  async function keeping() {
    let time = 0
    const sleepers = new Set<{ until: number; done: () => void }>()
    const clock: Clock = {
      now: () => time,
      monotonic: () => time,
      sleep: (ms, signal) =>
        new Promise((resolve) => {
          const done = () => {
            sleepers.delete(sleeper)
            signal?.removeEventListener('abort', done)
            resolve()
          }
          const sleeper = { until: time + ms, done }
          sleepers.add(sleeper)
          if (signal?.aborted === true) done()
          else signal?.addEventListener('abort', done, { once: true })
        }),
    }
    const keeper = makeLeaseKeeper({ pool, name: 'test', leaseMs: LEASE_MS, clock, log })
    await keeper.start()
    const lease = keeper.current()
    if (lease === null) throw new Error('there is no lease')
    expect(await takeDestination(pool, lease.id, NAME)).to.include({ kind: 'taken' })
    await pool.query('update destinations set follows = true where name = $1', [NAME])
    const passes = async (ms: number) => {
      await until(() => sleepers.size > 0, { what: 'the keeper to wait' })
      time += ms
      for (const sleeper of [...sleepers]) if (sleeper.until <= time) sleeper.done()
    }
    return { keeper, lease, passes }
  }

  /** The database fails over: another server stands there, with the same rows. */
  const failOver = () => pool.query(`update workers set server_started = server_started - interval '1 hour'`)

  async function isGivenBack({ id, signal }: Lease): Promise<void> {
    await until(() => signal.aborted, { what: 'the lease to be lost' })
    const gone = async () => (await pool.query('select from workers where id = $1', [id])).rowCount === 0
    await until(gone, { what: 'the worker to be gone', withinMs: 5_000 })
    const { rows } = await pool.query(
      'select lease_owner, follows, look_at <= now_ms() as due from destinations where name = $1',
      [NAME],
    )
    expect(rows).to.deep.equal([{ lease_owner: null, follows: false, due: true }])
  }

  it('that ended with its server is given back as soon as that is known, and another one begun', async () => {
    const { keeper, lease, passes } = await keeping()
    try {
      await failOver()
      await passes(LEASE_MS / 3)
      await isGivenBack(lease)
      await passes(1)
      await until(() => keeper.current() !== null, { what: 'the next lease' })
      expect(keeper.current()?.id).not.to.equal(lease.id)
      // By the new one it can be had at once, though the old one would last for long.
      expect(await takeDestination(pool, keeper.current()?.id ?? '', NAME)).to.include({ kind: 'taken' })
    } finally {
      await keeper.stop()
    }
  })

  it('that the database says is over is given back at once', async () => {
    const { keeper, lease } = await keeping()
    try {
      await failOver()
      keeper.over(lease.id)
      await isGivenBack(lease)
    } finally {
      await keeper.stop()
    }
  })

  it('that was not renewed in time is given back', async () => {
    const { keeper, lease, passes } = await keeping()
    try {
      await passes(LEASE_MS)
      await isGivenBack(lease)
    } finally {
      await keeper.stop()
    }
  })

  it('leaves alone what another one holds', async () => {
    const { keeper, lease } = await keeping()
    const living = '00000000-0000-4000-8000-00000000000a'
    try {
      await pool.query(
        `insert into workers (id, name, lease_until) values ('${living}', 'other', now_ms() + 60000)`,
      )
      expect(await takeDestination(pool, living, 'c.example')).to.include({ kind: 'taken' })
      keeper.over(lease.id)
      await isGivenBack(lease)
      const { rows } = await pool.query(`select lease_owner from destinations where name = 'c.example'`)
      expect(rows).to.deep.equal([{ lease_owner: living }])
    } finally {
      await keeper.stop()
    }
  })
})
