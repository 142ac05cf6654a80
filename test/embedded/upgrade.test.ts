/** What limpet 0.1 left behind: a server on a port, in which `limpet` is the superuser. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { openBackend } from '../../queues/open-backend.ts'
import { makeLog } from '../../src/observe/log.ts'
import { openPool } from '../../src/store/db.ts'
import { type Embedded, startEmbedded } from '../../src/embedded/server.ts'
import { urlOfRunning } from '../../src/embedded/adopt.ts'
import { openRoom } from '../../src/embedded/cluster.ts'
import { query } from '../../src/embedded/postmaster.ts'
import { migrate } from '../../src/store/migrate.ts'
import { isAlive } from '../../src/embedded/process-identity.ts'
import { leaveBehind } from '../support/leftovers.ts'
import { migrateAt } from '../support/postgres.ts'
import { type Server, startServer } from '../support/server.ts'

const log = { info: () => undefined, warn: () => undefined }

/** Of an operator's own, beside our tables. */
const MORE = `
  create schema theirs;
  create type theirs.colour as enum ('red');
  create domain theirs.short as text check (length(value) < 9);
  create type theirs.pair as (a int, b int);
  create table theirs.paint (id serial primary key, n int generated always as identity, colour theirs.colour);
  create sequence theirs.free;
  create view theirs.red as select * from theirs.paint where colour = 'red';
  create function theirs.twice(n int) returns int language sql as 'select n * 2';
  create statistics theirs.some on id, n from theirs.paint;
  insert into theirs.paint (colour) values ('red');
  alter role limpet set work_mem = '5MB'`

/** What is not system's and not limpet's. */
const FOREIGN = `
  select relname from pg_class c where oid >= 16384 and relnamespace <> 'pg_toast'::regnamespace and relowner <> 'limpet'::regrole
  union all select proname from pg_proc where oid >= 16384 and proowner <> 'limpet'::regrole
  union all select typname from pg_type where oid >= 16384 and typowner <> 'limpet'::regrole
  union all select nspname from pg_namespace where oid >= 16384 and nspowner <> 'limpet'::regrole and nspname !~ '^pg_'
  union all select stxname from pg_statistic_ext where stxowner <> 'limpet'::regrole`

describe('the embedded PostgreSQL of limpet 0.1', function () {
  this.timeout(300_000)
  let dataDir: string
  let old: Server
  let now: Embedded | undefined
  let forget: () => void

  beforeEach(async () => {
    dataDir = mkdtempSync(join(tmpdir(), 'limpet-upgrade-'))
    old = await startServer({ dataDir })
    forget = leaveBehind({
      clear: () => Promise.resolve(),
      kill: () => process.kill(now?.pid ?? old.pid, 'SIGQUIT'),
    })
    await migrateAt(old.url)
    const queue = await openBackend(
      { kind: 'postgres', url: old.url },
      { log: makeLog({ level: 'silent', pretty: false }) },
    )
    await queue.migrate()
    await queue.close()
    await query(old.url, (client) => client.query(MORE))
  })
  afterEach(async () => {
    await now?.stop('immediate')
    if (isAlive(old.pid)) await old.stop('immediate')
    now = undefined
    forget()
    rmSync(dataDir, { recursive: true, force: true })
  })

  const isAsNew = async (server: Embedded) => {
    expect(server.adopted).to.equal(false)
    expect(existsSync(join(dataDir, 'postgres', 'port'))).to.equal(false)
    await query(server.url, async (client) => {
      const one = async (sql: string) =>
        (await client.query<unknown[]>({ text: sql, rowMode: 'array' })).rows.map(([value]) => value)
      expect(await one('select rolsuper from pg_roles where rolname = current_user')).to.deep.equal([false])
      expect(await one('select rolname from pg_roles where rolsuper')).to.deep.equal(['limpet_admin'])
      expect(await one(`select from pg_authid`).catch((error: unknown) => error)).to.have.property(
        'code',
        '42501',
      )
      expect(await one(FOREIGN)).to.deep.equal([])
      expect(await one('select theirs.twice(n) from theirs.red')).to.deep.equal([2])
      expect(await one(`select current_setting('work_mem')`)).to.deep.equal(['5MB'])
      expect(await one(`select current_setting('listen_addresses')`)).to.deep.equal([''])
      // What limpet 0.1 asks when it starts, should somebody go back before a migration has run.
      expect(await one(`select current_setting('data_directory')`)).to.deep.equal([
        join(dataDir, 'postgres', 'data'),
      ])
      // As a migration would.
      await client.query('alter table destinations add column more text')
      await client.query('alter table limpet_queue.job add column more text')
      await client.query('create table another ()')
    })
    const pool = openPool({ url: server.url, max: 1 })
    expect(await migrate(pool)).to.deep.equal([])
    await pool.end()
  }

  it('is brought to this version when it is started', async () => {
    await old.stop()
    now = await startEmbedded({ dataDir, log })
    await isAsNew(now)
    // And the second time there is nothing to do.
    await now.stop()
    now = await startEmbedded({ dataDir, log })
    expect(
      await query(now.url, async (client) => (await client.query('table theirs.red')).rowCount),
    ).to.equal(1)
  })

  it('is brought to this version although a killed limpet left it running', async () => {
    now = await startEmbedded({ dataDir, log, owns: true })
    expect(isAlive(old.pid)).to.equal(false)
    await isAsNew(now)
  })

  it('is used by a command as long as its limpet runs', async () => {
    const url = urlOfRunning(openRoom(dataDir))
    expect(url).to.include(`:${old.port}/`)
    expect(
      await query(url ?? '', async (client) => (await client.query('table theirs.red')).rowCount),
    ).to.equal(1)
  })

  it('is brought to this version although its first start was cut short', async () => {
    await query(old.url.replace(/limpet$/, 'postgres'), (client) => client.query('drop database limpet'))
    await old.stop()
    now = await startEmbedded({ dataDir, log })
    await migrateAt(now.url)
  })
})
