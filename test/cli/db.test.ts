/** `limpet db dump` and `limpet db load`, as an operator types them: files, refusals, and what is left after a failure. */
import { expect } from 'chai'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { openPool, type Pool } from '../../src/store/db.ts'
import {
  bindServerName,
  checkSchema,
  lockMigrations,
  migrateOn,
  readApplied,
} from '../../src/store/migrate.ts'
import { inTransaction } from '../../src/store/db.ts'
import { DumpError } from '../../src/store/copies/dump-error.ts'
import { parseHeader, parseTableEnd } from '../../src/store/copies/format.ts'
import { readDump } from '../../src/store/copies/read-dump.ts'
import { readDumpFile } from '../../src/cli/db/dump-file.ts'
import { command } from '../../src/store/statement.ts'
import { freshDatabase } from '../support/postgres.ts'
import { install, limpet, type Install } from './cli-stage.ts'

describe('limpet db', () => {
  let here: Install
  let source: Pool
  let sourceUrl: string
  /** A good one. */
  let dump: string
  before(async () => {
    here = install()
    sourceUrl = (await freshDatabase()).url
    source = openPool({ url: sourceUrl, max: 2, name: 'test' })
    await bindServerName(source, 'a.example')
    await source.query(
      `insert into rooms (room_id) select '!' || n || ':a.example' from generate_series(1, 3000) n`,
    )
    dump = join(here.dir, 'good.dump')
    const said = await at(sourceUrl, 'dump', dump)
    expect(said.err).to.equal('')
    expect(said.out).to.match(
      /^dumped 3,\d\d\d rows of \d\d tables of a\.example \(.*position 0, schema \d\d, PostgreSQL/,
    )
  })
  after(async () => {
    await source.end()
    here.remove()
  })

  const at = async (database: string, ...args: string[]) => {
    const key = here.key
    writeFileSync(
      join(here.dir, 'limpet.yaml'),
      JSON.stringify({ server_name: 'a.example', signing_key_path: key, database }),
      { mode: 0o600 },
    )
    const said = await limpet(['db', ...args], { cwd: here.dir })
    // On a busy machine it says what it waits for.
    return { ...said, err: said.err.replaceAll(/^.* … \d+ s\n/gm, '') }
  }
  const empty = async () => (await freshDatabase({ migrated: false })).url
  const on = async <T>(url: string, work: (pool: Pool) => Promise<T>): Promise<T> => {
    const pool = openPool({ url, max: 2, name: 'test' })
    try {
      return await work(pool)
    } finally {
      await pool.end()
    }
  }
  const tablesOf = (url: string) =>
    on(url, async (pool) => {
      const { rows } = await pool.query<{ n: number }>(
        `select count(*)::int as n from pg_tables where schemaname = 'public'`,
      )
      return rows[0]?.n
    })
  /** A dump whose text was changed and packed again; `sum`: with a checksum that fits. */
  const changed = (name: string, change: (text: string) => string, { sum = false } = {}): string => {
    const path = join(here.dir, name)
    let text = change(gunzipSync(readFileSync(dump)).toString())
    if (sum) {
      const end = text.lastIndexOf('\n', text.length - 2) + 1
      const sha256 = createHash('sha256').update(text.slice(0, end)).digest('hex')
      text = text.slice(0, end) + text.slice(end).replace(/"sha256":"\w+"/, `"sha256":"${sha256}"`)
    }
    writeFileSync(path, gzipSync(text))
    return path
  }

  /** As a load reads it, without a database. */
  const readThrough = async (path: string) => {
    const reader = readDump(readDumpFile(path))
    const { tables } = parseHeader(await reader.line())
    let rows = 0
    for (let n = 0; n < tables.length; n += 1) {
      for await (const piece of reader.rows()) rows += piece.toString().split('\n').length - 1
      parseTableEnd(await reader.line())
    }
    await reader.end(tables.length, rows)
  }

  it('writes a file that its owner alone can read, and leaves nothing beside it', () => {
    expect(statSync(dump).mode & 0o777).to.equal(0o600)
    expect(readdirSync(here.dir).filter((name) => name.startsWith('.'))).to.deep.equal([])
  })

  it('does not replace a file, unless told to', async () => {
    const file = join(here.dir, 'taken')
    writeFileSync(file, 'mine', { mode: 0o644 })
    const refused = await at(sourceUrl, 'dump', 'taken')
    expect(refused).to.deep.include({ status: 1, out: '' })
    expect(refused.err).to.equal(
      `limpet: ${file} exists already: give another name, or --force to replace it\n`,
    )
    expect(readFileSync(file, 'utf8')).to.equal('mine')
    expect((await at(sourceUrl, 'dump', 'taken', '--force')).status).to.equal(0)
    expect(gunzipSync(readFileSync(file)).toString()).to.match(/^{"limpet_dump":1/)
    expect(statSync(file).mode & 0o777).to.equal(0o600)
  })

  it('dumps nothing where there is no schema, and leaves no file', async () => {
    const said = await at(await empty(), 'dump', 'none')
    expect(said.err).to.equal('limpet: the database has no limpet schema: there is nothing to dump\n')
    const copied = await at(await empty(), 'copy', '--to', await empty())
    expect(copied.err).to.include('has no limpet schema: there is nothing to copy')
    expect(said.status).to.equal(1)
    expect(existsSync(join(here.dir, 'none'))).to.equal(false)
    expect(readdirSync(here.dir).filter((name) => name.startsWith('.'))).to.deep.equal([])
  })

  it('loads it into an empty database, and says what to do', async () => {
    const url = await empty()
    const said = await at(url, 'load', 'good.dump')
    expect(said.err).to.equal('')
    expect(said.out).to.match(
      /^loaded 3,\d\d\d rows .* checksum and counts match\nput into limpet\.yaml:\n {2}server_name: a\.example\n {2}database: postgres:\/\//,
    )
    expect(said.out).to.include('stop the limpet that the dump is of').and.include('/v1/ingest/position')
    expect(said.out).not.to.include(new URL(url).password)
    await on(url, async (pool) => {
      expect(await checkSchema(pool)).to.equal(null)
      expect((await pool.query('select from rooms')).rowCount).to.equal(3000)
    })
  })

  it('loads nothing into a database with something in it', async () => {
    const before = await tablesOf(sourceUrl)
    const again = await at(sourceUrl, 'load', 'good.dump')
    expect(again.status).to.equal(1)
    expect(again.err).to.match(
      /^limpet: the schema public of the database test_\d+ is not empty \(limpet's tables are there already\): a copy goes only into an empty one\n$/,
    )
    expect(await tablesOf(sourceUrl)).to.equal(before)
    const other = await empty()
    await on(other, (pool) => pool.query('create table accounts (id int)'))
    expect((await at(other, 'load', 'good.dump')).err).to.include('is not empty (there is already accounts)')
    expect((await at(sourceUrl, 'copy', '--to', other)).err).to.include(
      'is not empty (there is already accounts)',
    )
    expect(await tablesOf(other)).to.equal(1)
  })

  describe('takes no file that is not as it was written, and leaves the database empty:', () => {
    let url: string
    before(async () => (url = await empty()))
    const refused = async (file: string, why: RegExp, status = 1) => {
      const said = await at(url, 'load', file)
      expect(said.err).to.match(why)
      expect(said).to.deep.include({ status, out: '' })
      expect(await tablesOf(url)).to.equal(0)
    }
    const bytes = (name: string, change: (all: Buffer) => Buffer) => {
      writeFileSync(join(here.dir, name), change(readFileSync(dump)))
      return name
    }

    it('one that was cut off', () =>
      refused(
        bytes('short', (all) => all.subarray(0, -30)),
        /^limpet: the dump is damaged: (unexpected end of file|it ends in the middle)\n$/,
      ))

    it('one that was cut off or changed, anywhere', async () => {
      const whole = readFileSync(dump)
      await readThrough(dump)
      // The head of a gzip says when and where it was packed, which is nobody's business here.
      for (let place = 10; place < whole.length; place += Math.ceil(whole.length / 14)) {
        const flipped = Buffer.from(whole)
        flipped[place] = (flipped[place] ?? 0) ^ 4
        for (const wrong of [whole.subarray(0, place), flipped]) {
          const file = join(
            here.dir,
            bytes('wrong', () => wrong),
          )
          const error = await readThrough(file).catch((thrown: unknown) => thrown)
          expect(error, `at ${place}`).to.be.instanceOf(DumpError)
        }
      }
    })

    it('one with something behind its end', async () => {
      for (const more of [Buffer.from('more'), Buffer.alloc(64), gzipSync('more')]) {
        const file = bytes('longer', (all) => Buffer.concat([all, more]))
        const error = await readThrough(join(here.dir, file)).catch((thrown: unknown) => thrown)
        expect(error).to.be.instanceOf(DumpError)
      }
    })

    it('one that was altered and packed again', async () => {
      const file = changed('altered', (text) => text.replace('!17:a.example', '!99:a.example'))
      const error = await readThrough(file).catch((thrown: unknown) => thrown)
      expect(String(error)).to.include('its checksum does not match')
    })

    it('one that lacks a row, though its checksum fits', () =>
      refused(
        changed('row', (text) => text.replace(/^.*!2999:a\.example.*\n/m, ''), { sum: true }),
        /^limpet: the dump is damaged: it had 3000 rows of rooms, and 2999 are there\n$/,
      ))

    it('one that is something else', async () => {
      await refused(
        bytes('text', () => Buffer.from('hello\n')),
        /^limpet: .*text is not a dump of limpet\n$/,
      )
      await refused(
        bytes('packed', () => gzipSync('hello\n')),
        /^limpet: the dump is damaged: a line is not JSON\n$/,
      )
      await refused('missing', /^limpet: .*missing can't be read: ENOENT/)
    })

    it('one of another form', () =>
      refused(
        changed('form', (text) => text.replace('"limpet_dump":1', '"limpet_dump":2')),
        /it has the form 2, and this limpet knows form 1\n$/,
      ))

    it('one of a newer limpet, exit 2', () =>
      refused(
        changed('newer', (text) =>
          text.replace('"ledger":[', '"ledger":[{"version":9999,"name":"9999_later.sql","checksum":"x"},'),
        ),
        /^limpet: the dump's schema is version 9999, but this limpet knows only versions up to \d+: run the release that made it, or a newer one\n$/,
        2,
      ))

    it('one of another server_name, exit 2', () =>
      refused(
        changed('other', (text) => text.replace('"server_name":"a.example"', '"server_name":"b.example"')),
        /^limpet: the dump belongs to server_name b\.example, but the configuration says a\.example/,
        2,
      ))

    it('one with a name in it that would be SQL', () =>
      refused(
        changed('sql', (text) => text.replace('"name":"rooms"', '"name":"rooms; drop"')),
        /its header is not complete\n$/,
      ))
  })

  it('loads a dump of an older schema and migrates it', async () => {
    const old = await empty()
    await on(old, async (pool) => {
      const all = await on(sourceUrl, readApplied)
      await inTransaction(pool, async (db) => {
        await lockMigrations(db)
        await migrateOn(
          db,
          all.filter(({ version }) => version <= 16),
        )
      })
      await bindServerName(pool, 'a.example')
      await pool.query(
        `insert into destinations (name, position, created_at, look_at, failures) values ('b.example', 0, 0, 5, 3)`,
      )
      // What a migration of later does to rows that are there is to be done in the copy too.
      await pool.query('update destinations set turn_key = 1')
    })
    const said = await at(old, 'dump', 'old.dump')
    expect(said.out).to.include('schema 16')
    const url = await empty()
    const loaded = await at(url, 'load', 'old.dump')
    expect(loaded.err).to.equal('')
    expect(loaded.out).to.match(/migrated to this release's schema: 0017_deadlines\.sql to \d{4}_\w+\.sql\n/)
    await on(url, async (pool) => {
      expect(await checkSchema(pool)).to.equal(null)
      const { rows } = await pool.query<{ key: string }>(
        command('select turn_key::text as key from destinations'),
      )
      // As migration 0025 puts one that failed three times and never answered.
      expect(rows[0]?.key).to.equal(String(9007199254740993n + 3n * 4398046511104n + 4398046511103n))
    })
  })

  it('dumps no schema that it does not know, exit 2', async () => {
    const url = await empty()
    expect((await at(url, 'load', 'good.dump')).status).to.equal(0)
    await on(url, (pool) =>
      pool.query(
        `insert into limpet_migrations (version, name, checksum) values (9999, '9999_later.sql', 'x')`,
      ),
    )
    const said = await at(url, 'dump', 'later')
    expect(said.err).to.include('the database schema is version 9999')
    expect(said.status).to.equal(2)
  })

  it('needs to be told where to copy to', async () => {
    expect(await at(sourceUrl, 'copy')).to.deep.include({ status: 2 })
    expect((await at(sourceUrl, 'copy', '--to', 'mysql://x')).err).to.equal(
      'limpet: --to must be `embedded` or a postgres:// URL\n',
    )
    expect((await at('embedded', 'copy', '--to', 'embedded')).err).to.equal(
      'limpet: --to: the configured database is the embedded one already\n',
    )
  })
})
