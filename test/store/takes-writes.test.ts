import { expect } from 'chai'
import { inTransaction, isUnavailable, openPool, type Pool } from '../../src/store/db.ts'
import { query } from '../../src/embedded/postmaster.ts'
import { proveWrite } from '../../src/store/takes-writes.ts'
import { freshDatabase, sharedServer, type FreshDatabase } from '../support/postgres.ts'
import { until } from '../support/poll.ts'

const WRITE = `insert into cursors (name, pos) values ('test', 1) on conflict (name) do update set pos = cursors.pos + 1`

describe('a database that accepts no writes', () => {
  let database: FreshDatabase
  let pool: Pool
  beforeEach(async () => {
    database = await freshDatabase()
    pool = openPool({ url: database.url, max: 1, name: 'limpet-writes' })
  })
  afterEach(async () => {
    await pool.end()
    await database.drop()
  })

  /** For each session that connects from now on. */
  const fence = async (on: boolean) => {
    const name = new URL(database.url).pathname.slice(1)
    const { url } = await sharedServer()
    await query(url, (client) =>
      client.query(`alter database ${name} set default_transaction_read_only = ${on ? 'on' : 'off'}`),
    )
  }
  const refused = async (work: Promise<unknown>) => {
    const error = await work.then(
      () => null,
      (reason: unknown) => reason,
    )
    expect(isUnavailable(error), String(error)).to.equal(true)
    return error as Error
  }
  const pids = async () => {
    const sql = `select pid from pg_stat_activity where application_name = 'limpet-writes'`
    return query(database.url, async (client) => (await client.query<{ pid: number }>(sql)).rows)
  }

  it('is refused at once by a new connection, also to one that only wants to read, and is not kept', async () => {
    await fence(true)
    const error = await refused(pool.query('select 1'))
    expect(error.message).to.equal('default_transaction_read_only is on')
    await until(async () => (await pids()).length === 0, { what: 'the connection to be ended' })
    await fence(false)
    await proveWrite(pool)
  })

  it('is left by a connection in the middle of a transaction: the next one goes where writes are taken', async () => {
    const became = async () => {
      await pool.query('set session characteristics as transaction read only')
    }
    await became()
    await refused(inTransaction(pool, (db) => db.query(WRITE)))
    // The only connection there is: it must be another one.
    await inTransaction(pool, (db) => db.query(WRITE))
    await became()
    await refused(pool.query(WRITE))
    await proveWrite(pool)
  })

  it('is left by one that has a connection for long and hears the refusal only', async () => {
    const client = await pool.connect()
    await client.query('set session characteristics as transaction read only')
    await client.query(WRITE).catch(() => undefined)
    await until(async () => (await pids()).length === 0, { what: 'the connection to be ended' })
    client.release()
    await proveWrite(pool)
  })

  it("may be a standby where it is somebody else's and only read", async () => {
    await fence(true)
    const reading = openPool({ url: database.url, max: 1, onlyReads: true })
    expect((await reading.query('select 1')).rowCount).to.equal(1)
    await reading.end()
  })

  it('does not lose a connection that refuses for another reason', async () => {
    const pidOf = async () =>
      (await pool.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]!.pid
    const before = await pidOf()
    await inTransaction(pool, (db) => db.query('select 1 / 0')).catch(() => undefined)
    expect(await pidOf()).to.equal(before)
  })
})
