/** What an operator may have set for the role or the database, and what of it must not reach our statements. */
import { expect } from 'chai'
import { pino } from 'pino'
import { openBackend } from '../../queues/open-backend.ts'
import { inTransaction, openPool, type Pool } from '../../src/store/db.ts'
import { query } from '../../src/embedded/postmaster.ts'
import { withSweepLock } from '../../src/store/upkeep/housekeeping.ts'
import { until } from '../support/poll.ts'
import { startHalfOpenProxy } from '../support/half-open-proxy.ts'
import { freshDatabase, type FreshDatabase } from '../support/postgres.ts'

const OTHERS = {
  default_transaction_isolation: 'serializable',
  client_encoding: 'LATIN1',
  standard_conforming_strings: 'off',
  array_nulls: 'off',
  statement_timeout: '100ms',
  lock_timeout: '1ms',
  idle_session_timeout: '1s',
  idle_in_transaction_session_timeout: '1ms',
  transaction_timeout: '100ms',
}

/** Sets defaults for each session that connects to `database` from now on; what this server does not know yet is left out. */
async function setDefaults(
  database: FreshDatabase,
  settings: Readonly<Record<string, string>>,
): Promise<void> {
  await query(database.url, async (client) => {
    const name = new URL(database.url).pathname.slice(1)
    const { rows } = await client.query<{ name: string }>('select name from pg_settings')
    const known = new Set(rows.map((row) => row.name))
    for (const [setting, value] of Object.entries(settings))
      if (known.has(setting)) await client.query(`alter database ${name} set ${setting} = '${value}'`)
  })
}

describe('a session of ours', () => {
  let database: FreshDatabase
  let pool: Pool
  beforeEach(async () => {
    database = await freshDatabase()
    pool = openPool({ url: database.url, max: 2 })
  })
  afterEach(async () => {
    await pool.end()
    await database.drop()
  })

  it('is as our SQL expects it, whatever the defaults of role and database are', async () => {
    await setDefaults(database, OTHERS)
    const ours = {
      ...OTHERS,
      default_transaction_isolation: 'read committed',
      client_encoding: 'UTF8',
      standard_conforming_strings: 'on',
      array_nulls: 'on',
      statement_timeout: '0',
      lock_timeout: '0',
      idle_session_timeout: '0',
      idle_in_transaction_session_timeout: '5s',
      transaction_timeout: '0',
    }
    const found: Record<string, string> = {}
    for (const name of Object.keys(ours)) {
      const { rows } = await pool.query<{ value: string }>('select current_setting($1) as value', [name])
      found[name] = rows[0]?.value ?? ''
    }
    expect(found).to.deep.equal(ours)
    const { rows } = await pool.query<{ text: string; same: boolean; nulls: boolean }>(
      `select $1::text as text, $1::text = U&'\\00FC\\2713' as same, ($2::text[])[1] is null as nulls`,
      ['ü✓', [null]],
    )
    expect(rows).to.deep.equal([{ text: 'ü✓', same: true, nulls: true }])
    await pool.query('select pg_sleep(0.2)')
  })

  it('sees in a transaction what others have committed since it began', async () => {
    await setDefaults(database, OTHERS)
    await inTransaction(pool, async (db) => {
      await db.query('select head from stream')
      await query(database.url, (client) => client.query('update stream set head = head + 1'))
      await db.query('update stream set head = head + 1')
      const { rows } = await db.query<{ level: string; head: number }>(
        `select current_setting('transaction_isolation') as level, head from stream`,
      )
      expect(rows).to.deep.equal([{ level: 'read committed', head: 2 }])
    })
  })

  it('is not ended for being idle, nor after it has swept', async () => {
    await setDefaults(database, OTHERS)
    await withSweepLock(pool, () => Promise.resolve())
    const { rows } = await pool.query<{ value: string }>(
      `select current_setting('idle_session_timeout') as value`,
    )
    expect(rows).to.deep.equal([{ value: '0' }])
  })

  it('of the queue too, whose tables are found whatever stands in the URL', async () => {
    await setDefaults(database, { ...OTHERS, search_path: 'nowhere' })
    const url = new URL(database.url)
    url.searchParams.set('options', '-c search_path=elsewhere')
    const backend = await openBackend({ kind: 'postgres', url: url.href }, { log: pino({ level: 'silent' }) })
    try {
      await backend.migrate()
      await backend.checkSettings()
      const queue = backend.openQueue('delivery')
      let heard = ''
      const worker = backend.openWorker(
        'delivery',
        (data) => {
          heard = JSON.stringify(data)
          return Promise.resolve()
        },
        { concurrency: 1 },
      )
      worker.on('error', () => undefined)
      await queue.addBulk([{ name: 'x', data: { v: 1, destination: 'ü✓' }, opts: {} } as never])
      await until(() => heard !== '', { what: 'the job' })
      expect(heard).to.equal('{"v":1,"destination":"ü✓"}')
      await worker.close()
    } finally {
      await backend.close()
    }
  })

  it('of the queue that ends while it migrates fails the migration, not the process', async () => {
    const backend = await openBackend(
      { kind: 'postgres', url: database.url },
      { log: pino({ level: 'silent' }) },
    )
    try {
      // The holder of BullMQ's lock lets the migration wait in its transaction.
      await query(database.url, async (client) => {
        await client.query('begin')
        await client.query(`select pg_advisory_xact_lock(1112886348, hashtext('limpet_queue'))`)
        const migrated = backend.migrate().then(
          () => null,
          (error: unknown) => (error as Error).message,
        )
        const end = `select pg_terminate_backend(pid) from pg_stat_activity
                      where application_name = 'limpet-queue' and datname = current_database() and wait_event = 'advisory'`
        await until(async () => (await pool.query(end)).rowCount, { what: 'the migration to wait' })
        expect(await migrated).to.match(/terminat|connection error/)
      })
    } finally {
      await backend.close()
    }
  })

  it('that is never answered while it begins fails the caller that waits for it, soon', async () => {
    const proxy = await startHalfOpenProxy()
    const url = new URL(database.url)
    proxy.forwardTo(Number(url.port))
    url.port = String(proxy.port)
    const other = openPool({ url: url.href, max: 1 })
    try {
      // Connected, and then nothing: the silence begins with the first statement.
      const connecting = other.options as { onConnect?: (client: unknown) => Promise<void> }
      const begin = connecting.onConnect
      connecting.onConnect = (client) => {
        proxy.goSilent()
        return begin?.(client) ?? Promise.resolve()
      }
      const began = performance.now()
      const failed = await other.query('select 1').then(
        () => null,
        (error: unknown) => (error as Error).message,
      )
      expect(failed).to.equal('Query read timeout')
      // Five seconds by the rule.
      expect(performance.now() - began).to.be.below(45_000)
      expect(other.totalCount).to.equal(0)
    } finally {
      await other.end()
      await proxy.close()
    }
  })
})
