import { expect } from 'chai'
import { boundServerName } from '../../src/store/ingest/bound-server-name.ts'
import { openPool, type Pool } from '../../src/store/db.ts'
import { bindServerName, checkSchema, migrate, SchemaError } from '../../src/store/migrate.ts'
import { freshDatabase } from '../support/postgres.ts'

describe('the schema', () => {
  let pool: Pool
  beforeEach(async () => {
    pool = openPool({ url: (await freshDatabase({ migrated: false })).url, max: 4 })
  })
  afterEach(() => pool.end())

  const ledger = async () =>
    (await pool.query<{ name: string }>('select name from limpet_migrations order by version')).rows.map(
      ({ name }) => name,
    )
  const fault = (work: Promise<unknown>) =>
    work.then(
      () => 'nothing was wrong',
      (error: unknown) => (error instanceof SchemaError ? error.message : `no SchemaError: ${String(error)}`),
    )

  it('is made from nothing, once', async () => {
    expect(await checkSchema(pool)).to.equal('the database has no limpet schema: run `limpet migrate`')
    const applied = await migrate(pool)
    expect(applied).to.include('0001_limpet.sql')
    expect(await checkSchema(pool)).to.equal(null)
    expect(await migrate(pool), 'idempotent').to.deep.equal([])
    expect(await ledger()).to.deep.equal(applied)
  })

  it('is made once by several processes that start together', async () => {
    const applied = await Promise.all([migrate(pool), migrate(pool), migrate(pool)])
    expect(applied.filter((names) => names.length > 0)).to.have.length(1)
    expect(await checkSchema(pool)).to.equal(null)
  })

  it('is made whole or not at all', async () => {
    // In the way of the migration: the table of attempts is one of its last.
    await pool.query('create table attempts (mine int)')
    await migrate(pool).then(
      () => expect.fail('it was in the way'),
      (error: unknown) => expect(error).to.have.property('code', '42P07'),
    )
    expect(await checkSchema(pool)).to.include('has no limpet schema')
    const { rows } = await pool.query(`select tablename from pg_tables where schemaname = 'public'`)
    expect(rows).to.deep.equal([{ tablename: 'attempts' }])
    await pool.query('drop table attempts')
    expect(await migrate(pool)).to.not.deep.equal([])
  })

  it('of a newer limpet is left alone, with both versions said', async () => {
    await migrate(pool)
    const [newest] = (await pool.query<{ v: number }>('select max(version) as v from limpet_migrations')).rows
    const known = newest?.v ?? 0
    await pool.query(
      `insert into limpet_migrations (version, name, checksum) values (95, '0095_a.sql', 'x'), (97, '0097_b.sql', 'y')`,
    )
    const complaint = `the database schema is version 97, but this limpet knows only versions up to ${known}: run the release that made it, or a newer one`
    expect(await checkSchema(pool)).to.equal(complaint)
    expect(await fault(migrate(pool))).to.equal(complaint)
  })

  it('of an older limpet is to be migrated', async () => {
    await migrate(pool)
    await pool.query('delete from limpet_migrations')
    expect(await checkSchema(pool)).to.equal(
      'the database schema is older than this limpet: run `limpet migrate`',
    )
  })

  it('that a changed migration made is left alone, with its name', async () => {
    await migrate(pool)
    await pool.query(`update limpet_migrations set checksum = 'other' where version = 1`)
    const complaint =
      'migration 0001_limpet.sql was applied with different content: this database was made by a different limpet'
    expect(await checkSchema(pool)).to.equal(complaint)
    expect(await fault(migrate(pool))).to.equal(complaint)
  })
})

describe('a database', () => {
  let pool: Pool
  beforeEach(async () => {
    pool = openPool({ url: (await freshDatabase()).url, max: 4 })
  })
  afterEach(() => pool.end())

  it('belongs to the first server_name that it was used for', async () => {
    expect(await boundServerName(pool)).to.equal(null)
    await bindServerName(pool, 'home.example')
    await bindServerName(pool, 'home.example')
    expect(await boundServerName(pool)).to.equal('home.example')
    const error = await bindServerName(pool, 'other.example').catch((thrown: unknown) => thrown)
    expect(error).to.be.instanceOf(SchemaError)
    expect((error as Error).message).to.equal(
      'the database belongs to server_name home.example, but the configuration says other.example: use another database',
    )
    expect(await boundServerName(pool)).to.equal('home.example')
  })

  it('belongs to one of two that come at once', async () => {
    const names = ['a.example', 'b.example', 'c.example']
    const results = await Promise.allSettled(names.map((name) => bindServerName(pool, name)))
    const bound = await boundServerName(pool)
    for (const [n, result] of results.entries())
      expect(result.status, names[n]).to.equal(names[n] === bound ? 'fulfilled' : 'rejected')
  })
})
