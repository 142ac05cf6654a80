/** A PgBouncer before the database: in session mode it is not noticed, in the others limpet does not start. */
import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { systemClock } from '../../src/pace/clock.ts'
import { openPool } from '../../src/store/db.ts'
import { query } from '../../src/embedded/postmaster.ts'
import { narrowRoom } from '../../src/store/pool-room.ts'
import { refusePooling } from '../../src/store/pooling.ts'
import { startPgBouncer, type PgBouncer, type PgBouncerOptions } from '../support/pgbouncer.ts'
import { until } from '../support/poll.ts'
import { freshDatabase, type FreshDatabase } from '../support/postgres.ts'
import { install, limpet, startLimpet, type Install } from '../cli/cli-stage.ts'
import { makeWorld } from './world.ts'

const ROOM = '!room:home.example'

describe('behind a PgBouncer', () => {
  let database: FreshDatabase
  const bouncers: PgBouncer[] = []
  const installs: Install[] = []
  beforeEach(async () => (database = await freshDatabase({ migrated: false })))
  afterEach(async () => {
    for (const bouncer of bouncers.splice(0)) await bouncer.remove()
    for (const one of installs.splice(0)) one.remove()
    await database.drop()
  })
  const bounce = async (context: Mocha.Context, options: PgBouncerOptions) => {
    const bouncer = await startPgBouncer(context, database.url, options)
    bouncers.push(bouncer)
    return bouncer.through(database.url)
  }
  const setUp = (url: string) => {
    const one = install({ database: url })
    installs.push(one)
    return one
  }

  it('in session mode, with its default settings, takes and delivers', async function () {
    const url = await bounce(this, { mode: 'session' })
    const one = setUp(url)
    // Its own default gives fewer connections than limpet opens when all of them are busy, which takes a moment to see.
    const { status, out } = await limpet(['check-config'], { cwd: one.dir })
    expect(status).to.equal(0)
    expect(out).to.match(/^database: ok, .*gives only 20 connections at once/m)
    const world = await makeWorld({ databaseUrl: url })
    try {
      await world.start()
      // No second process, and nothing that looks for what was missed: what wakes the destination is heard.
      const remote = await world.remote()
      const first = world.event(ROOM)
      await world.ingest([{ type: 'servers', room_id: ROOM, add: [remote.serverName] }, first.item])
      await until(() => remote.received.has(first.eventId), { what: 'the first event' })
      await world.quiet()
      const more = Array.from({ length: 40 }, () => world.event(ROOM))
      await Promise.all(more.map(({ item }) => world.ingest([item])))
      await until(() => more.every(({ eventId }) => remote.received.has(eventId)), { what: 'all events' })
      expect(remote.violations).to.deep.equal([])
      expect((await world.request('/health/ready')).status).to.equal(200)
      // The queue listens, on a connection that stays.
      const listening = `select from pg_stat_activity where datname = current_database() and query ~ 'LISTEN bullmq_jobs'`
      await until(async () => (await world.pool.query(listening)).rowCount, { what: 'the queue to listen' })
      await world.quiet()
    } finally {
      await world.stop()
    }
  })

  it('in session mode tells a connection what it told the one that had it before', async function () {
    const url = await bounce(this, { mode: 'session' })
    const pool = openPool({ url, max: 1 })
    const isolation = async () =>
      (await pool.query<{ x: string }>(`select current_setting('idle_in_transaction_session_timeout') as x`))
        .rows[0]?.x
    expect(await isolation()).to.equal('5s')
    // The same server connection, given back and taken again: what was set is set again.
    await pool.end()
    const again = openPool({ url, max: 1 })
    const { rows } = await again.query<{ x: string }>(
      `select current_setting('idle_in_transaction_session_timeout') as x`,
    )
    expect(rows[0]?.x).to.equal('5s')
    await again.end()
  })

  it('in session mode finds nothing of the one that had it before, where PgBouncer clears nothing up', async function () {
    const url = await bounce(this, {
      mode: 'session',
      settings: { server_reset_query: '', default_pool_size: 1 },
    })
    const before = openPool({ url, max: 1 })
    await before.query('set search_path = nowhere')
    await before.query('prepare left_behind as select 1')
    await before.end()
    const pool = openPool({ url, max: 1 })
    const { rows } = await pool.query<{ path: string; prepared: number }>(
      `select current_setting('search_path') as path, (select count(*)::int from pg_prepared_statements) as prepared`,
    )
    await pool.end()
    expect(rows[0]?.path).not.to.equal('nowhere')
    expect(rows[0]?.prepared).to.be.at.most(1)
  })

  for (const mode of ['transaction', 'statement'] as const) {
    const line = new RegExp(
      `^limpet: the database at 127\\.0\\.0\\.1:\\d+/\\w+ is behind a pooler in (${mode}|transaction) mode.*pool_mode = session for it in PgBouncer\n$`,
    )

    it(`in ${mode} mode is refused in one line by every command that opens the database, exit 2`, async function () {
      const one = setUp(await bounce(this, { mode }))
      const lastLine = (text: string) => text.split('\n').slice(-2).join('\n')
      for (const command of ['check-config', 'migrate']) {
        const said = await limpet([command], { cwd: one.dir })
        expect(lastLine(said.err), command).to.match(line)
        expect(said.status, command).to.equal(2)
      }
      const daemon = startLimpet(['run'], { cwd: one.dir })
      expect(await daemon.ended).to.equal(2)
      expect(daemon.err).to.match(line)
      // Nothing was begun there.
      const { rowCount } = await query(database.url, (client) =>
        client.query('select from pg_tables where schemaname = current_schema()'),
      )
      expect(rowCount).to.equal(0)
    })

    for (const settings of [
      { default_pool_size: 1 },
      { default_pool_size: 5, server_round_robin: 1, ignore_startup_parameters: 'options' },
      { default_pool_size: 5, server_reset_query_always: 1 },
    ])
      it(`in ${mode} mode is known whatever its pool (${JSON.stringify(settings)})`, async function () {
        const url = await bounce(this, { mode, settings })
        expect(await refusalOf(url)).to.match(/is behind a pooler in (statement|transaction) mode/)
      })
  }

  it('in transaction mode is known however busy it is: others are served, and hold its connections', async function () {
    const url = await bounce(this, {
      mode: 'transaction',
      settings: { server_round_robin: 1, default_pool_size: 8 },
    })
    let going = true
    const traffic = Array.from({ length: 6 }, () =>
      query(url, async (client) => {
        while (going) await client.query('select pg_sleep(random() / 50)')
      }),
    )
    try {
      for (let time = 0; time < 5; time += 1)
        expect(await refusalOf(url)).to.match(/is behind a pooler in transaction mode/)
    } finally {
      going = false
      await Promise.all(traffic)
    }
  })

  it('in session mode is not mistaken, however busy it is', async function () {
    const url = await bounce(this, { mode: 'session' })
    for (const used of [url, database.url]) {
      let going = true
      const traffic = Array.from({ length: 6 }, () =>
        query(used, async (client) => {
          while (going) await client.query('select pg_sleep(random() / 50)')
        }),
      )
      try {
        for (let time = 0; time < 5; time += 1) expect(await refusalOf(used)).to.equal(null)
      } finally {
        going = false
        await Promise.all(traffic)
      }
    }
  })

  it('that gives only one connection, says so', async function () {
    const url = await bounce(this, { mode: 'session', settings: { default_pool_size: 1 } })
    expect(await refusalOf(url)).to.match(
      /^the database at .* gives no second connection .* pool_size must be/,
    )
  })

  describe('whose pool is smaller than what limpet opens', () => {
    const line = (given: number) =>
      new RegExp(
        `the pooler in front of the database at 127\\.0\\.0\\.1:\\d+/\\w+ gives only ${given} connections at once, and a limpet process opens up to 27: .*default_pool_size to at least 27`,
      )
    const narrow = async (context: Mocha.Context, default_pool_size: number) =>
      setUp(await bounce(context, { mode: 'session', settings: { default_pool_size } }))

    for (const given of [4, 9])
      it(`much smaller (${given}): run and check-config say so and end, exit 1`, async function () {
        const one = await narrow(this, given)
        for (const command of ['check-config', 'run']) {
          const said = startLimpet([command], { cwd: one.dir })
          expect(await said.ended, command).to.equal(1)
          expect(said.err.trimEnd().split('\n').at(-1), command).to.match(line(given))
        }
      })

    it('somewhat smaller: both say so, and limpet runs', async function () {
      const one = await narrow(this, 12)
      const said = await limpet(['check-config'], { cwd: one.dir })
      expect(said.status, said.err).to.equal(0)
      expect(said.out).to.match(line(12))
      const daemon = startLimpet(['run'], { cwd: one.dir })
      await until(() => daemon.out.includes('limpet runs'), { what: 'it to run' })
      const warned = daemon.out.split('\n').filter((text) => line(12).test(text))
      expect(warned).to.have.length(1)
      expect(JSON.parse(warned[0] ?? '')).to.include({ level: 40, given: 12 })
      daemon.child.kill('SIGTERM')
      expect(await daemon.ended).to.equal(0)
    })

    it('as large, or without a pooler: nobody says anything', async function () {
      const wide = await narrow(this, 27)
      for (const one of [wide, setUp(database.url)]) {
        const { out, status } = await limpet(['check-config'], { cwd: one.dir })
        expect(status).to.equal(0)
        expect(out).not.to.include('gives only')
      }
    })

    it('because it takes so many clients only, or lets nobody wait for long: the same', async function () {
      for (const settings of [{ max_client_conn: 6 }, { default_pool_size: 6, query_wait_timeout: 1 }]) {
        const url = await bounce(this, { mode: 'session', settings })
        expect(await narrowRoom(url, { most: 20, fewest: 10 })).to.include({ given: 6, tooFew: true })
      }
    })
  })
})

/** Null: taken. */
function refusalOf(url: string): Promise<string | null> {
  return refusePooling({ url, clock: systemClock, nonce: randomUUID() }).then(
    () => null,
    (error: unknown) => (error as Error).message,
  )
}
