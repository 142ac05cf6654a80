/** A statement has one name, and that is found wherever somebody looks at what the database does. */
import { expect } from 'chai'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { openPool, type Db, type Pool } from '../../src/store/db.ts'
import { NAMES } from '../../src/store/statement-names.ts'
import { nameIn, preparedName, sql, variants, writtenNames } from '../../src/store/statement.ts'
import { readHead } from '../../src/store/stream.ts'
import { moveCursor, findConcerned } from '../../src/store/delivery/wake-lists.ts'
import { ownServer, type OwnServer } from '../support/postgres.ts'
import { takeDestination } from '../support/one.ts'

const ROOT = new URL('../../', import.meta.url)
/** Where statements are written. */
const WRITTEN_IN = ['src/store', 'src/embedded', 'src/ingest', 'src/deliver', 'queues']
const filesIn = (folder: string): string[] =>
  readdirSync(fileURLToPath(new URL(folder, ROOT)), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => `${folder}/${name}`)

describe('the name of a statement', () => {
  it('stands behind its first keyword', () => {
    expect(variants('wish')('\n  with x as (select 1)\n  select * from x')).to.equal(
      'with /* wish */ x as (select 1)\n  select * from x',
    )
    expect(() => variants('wish')('-- a comment first')).to.throw('“wish” does not begin with a keyword')
  })
})

describe('the names of statements', () => {
  before(async function () {
    this.timeout(60_000)
    const files = [...WRITTEN_IN.flatMap(filesIn), 'src/daemon/start-housekeeping.ts']
    await Promise.all(files.map((file) => import(new URL(file, ROOT).href)))
  })

  it('are in one list, each once, and each is that of a statement', () => {
    expect(new Set(NAMES).size).to.equal(NAMES.length)
    expect([...writtenNames()].sort()).to.deep.equal([...NAMES].sort())
  })

  it('are plain: what a comment, a prepared statement and a shell can hold', () => {
    expect(NAMES.filter((name) => !/^[A-Za-z][A-Za-z_:' ]{1,52}[a-z]$/.test(name))).to.deep.equal([])
  })

  it('mean one text, unless they say that they have variants', () => {
    const one = 'select 1 as one'
    expect(() => sql('read the head', one)).to.throw('two statements are called “read the head”')
    expect(() => variants('read the head')).to.throw('is a statement with one text')
    expect(() => sql('wish', one)).to.throw('two statements are called “wish”')
    expect(nameIn(variants('wish')(one))).to.equal('wish')
  })

  it('are of the text too where it is prepared, and fit into what PostgreSQL keeps', () => {
    const name = (text: string) => preparedName(variants('wish')(text)) ?? ''
    expect(name('select 1')).to.match(/^wish [0-9a-f]{8}$/)
    expect(name('select 1')).not.to.equal(name('select 2'))
    expect(preparedName(`select /* ${'so '.repeat(40)}*/ 1`))
      .to.match(/^so so .* [0-9a-f]{8}$/)
      .and.have.length(63)
    expect(preparedName('select 1')).to.equal(null)
  })

  it('are asked for by the types', () => {
    const ask = (db: Db) =>
      // @ts-expect-error a plain string is no statement
      db.query('select 1')
    expect(ask).to.be.a('function')
  })
})

describe('an operator who looks at the database', function () {
  this.timeout(120_000)
  let server: OwnServer
  let pool: Pool

  before(async () => {
    const settings = { shared_preload_libraries: 'pg_stat_statements', 'pg_stat_statements.track': 'top' }
    server = await ownServer({ settings })
    pool = openPool({ url: server.url, max: 1, name: 'limpet-named' })
    await pool.query('create extension pg_stat_statements')
  })
  after(async () => {
    await pool.end()
    await server.remove()
  })

  it('finds the names in pg_stat_statements, also of what is planned at every call', async () => {
    await readHead(pool)
    await moveCursor(pool, 'fanout', 1)
    await takeDestination(pool, '00000000-0000-4000-8000-000000000001', 'a.example')
    await findConcerned(pool, 0, 100)
    const { rows } = await pool.query<{ query: string }>('select query from pg_stat_statements')
    expect(rows.map(({ query }) => nameIn(query))).to.include.members([
      ...['read the head', 'move a cursor', 'take the destination', 'whom do new items concern'],
    ])
    const text = rows.find(({ query }) => nameIn(query) === 'read the head')?.query
    expect(text).to.equal('select /* read the head */ head from stream')
  })

  it('sees in pg_stat_activity what a session does', async () => {
    await readHead(pool)
    const other = openPool({ url: server.url, max: 1 })
    const { rows } = await other.query<{ query: string }>(
      `select query from pg_stat_activity where application_name = 'limpet-named'`,
    )
    await other.end()
    expect(rows.map(({ query }) => query)).to.deep.equal(['select /* read the head */ head from stream'])
  })
})
