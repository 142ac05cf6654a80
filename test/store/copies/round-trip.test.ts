/** Everything in the database is in a copy of it: each table and column that PostgreSQL's own catalogue names. */
import { expect } from 'chai'
import { openPool, type Pool } from '../../../src/store/db.ts'
import { dumpDatabase } from '../../../src/store/copies/dump.ts'
import { loadDatabase, type LoadedCopy } from '../../../src/store/copies/load.ts'
import {
  detachPartition,
  dropDetached,
  extendLog,
  listPartitions,
} from '../../../src/store/upkeep/log-partitions.ts'
import { checkSchema } from '../../../src/store/migrate.ts'
import { command } from '../../../src/store/statement.ts'
import { freshDatabase } from '../../support/postgres.ts'

/** Who held what while the source ran, and what made the tables: a copy has none of the first, and its own of the second. */
const NOT_COPIED = ['workers', 'source_leases', 'limpet_migrations']
/** In the log's second part: the first one is gone. */
const BASE = 2_500_000
const NASTY = 'a\\.\n\\.\n\ttab \\N "quoted" \u{1F600} \\\\'

interface Column {
  table: string
  column: string
  type: string
  needed: boolean
}

const columnsOf = async (pool: Pool) =>
  (
    await pool.query<Column>(`
      select table_name as table, column_name as column, case when data_type = 'ARRAY' then udt_name else data_type end as type,
             is_nullable = 'NO' as needed
        from information_schema.columns join information_schema.tables using (table_schema, table_name)
       where table_schema = 'public' and table_type = 'BASE TABLE' and table_name !~ '^events_' order by 1, ordinal_position`)
  ).rows

/** A value of the type, the `n`th. */
function valueOf(type: string, n: number): unknown {
  const values: Record<string, unknown> = {
    text: `${NASTY}${n}`,
    integer: n,
    smallint: n % 1000,
    bigint: 9_007_199_250_000_000 + n,
    boolean: true,
    jsonb: JSON.stringify({ n, text: NASTY }),
    uuid: `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`,
    'double precision': 0.1 + n / 3,
    'timestamp with time zone': `2026-01-02 03:04:05.${String(n % 1000000).padStart(6, '0')}+05:30`,
    _int4: `{${n},2,3}`,
    _int8: `{${n},${n + 1}}`,
    _text: `{"${n}"}`,
  }
  if (!(type in values)) throw new Error(`no value of the type ${type}: give this test one`)
  return values[type]
}

/** Puts a full row and one without what may be missing into each table, and other values into rows that are alone. */
async function fill(pool: Pool): Promise<void> {
  const columns = await columnsOf(pool)
  const tables = [...new Set(columns.map(({ table }) => table))].filter((name) => !NOT_COPIED.includes(name))
  for (const table of tables) {
    const all = columns.filter((one) => one.table === table)
    const value = ({ column, type }: Column, n: number) => (column === 'pos' ? BASE + n : valueOf(type, n))
    if (all.some(({ column }) => column === 'one')) {
      const set = all.filter(({ column }) => column !== 'one' && column !== 'log_end')
      const text = set.map(({ column }, i) => `${column} = $${i + 1}`).join(', ')
      await pool.query(
        command(`update ${table} set ${text}`),
        set.map((one, i) => value(one, BASE + i)),
      )
      continue
    }
    for (const [n, some] of [all, all.filter(({ needed }) => needed)].entries()) {
      const text = `insert into ${table} (${some.map(({ column }) => column).join(', ')}) values (${some.map((_, i) => `$${i + 1}`).join(', ')})`
      await pool.query(
        command(text),
        some.map((one) => value(one, n + 7)),
      )
    }
  }
}

/** Every row of every table, as text. */
async function contents(pool: Pool): Promise<Record<string, string[]>> {
  const names = [...new Set((await columnsOf(pool)).map(({ table }) => table))]
  const found: Record<string, string[]> = {}
  for (const name of names.filter((one) => !NOT_COPIED.includes(one))) {
    const { rows } = await pool.query<{ row: string }>(
      command(`select t::text as row from ${name} t order by 1`),
    )
    found[name] = rows.map(({ row }) => row)
  }
  return found
}

/** The next id that each table would give. */
async function nextIds(pool: Pool): Promise<Record<string, unknown>> {
  const { rows } = await pool.query<{ name: string; next: number | null }>(
    'select sequencename::text as name, last_value as next from pg_sequences order by 1',
  )
  return Object.fromEntries(rows.map(({ name, next }) => [name, next]))
}

describe('a copy of the database', () => {
  let source: Pool
  let target: Pool
  let loaded: LoadedCopy
  before(async () => {
    source = openPool({ url: (await freshDatabase()).url, max: 2 })
    target = openPool({ url: (await freshDatabase({ migrated: false })).url, max: 2 })
    await source.query('update stream set head = 2000001')
    await extendLog(source, 4_000_000)
    const [first] = await listPartitions(source)
    if (first === undefined) throw new Error('the log has no partition')
    await detachPartition(source, first, 1000)
    await dropDetached(source, first)
    // One that a retention left detached, and somebody else's table.
    await source.query('create table events_1_2 (like events)')
    await fill(source)
    // Otherwise than a trigger would have it, and an id that was given out.
    await source.query('update destinations set turn_key = 12345')
    await source.query(`insert into rooms (room_id) values ('!counted')`)
    await source.query(
      `insert into workers (id, name, lease_until) values (gen_random_uuid(), 'x', now_ms() + 60000)`,
    )
    await source.query(
      `insert into source_leases (source, holder, until) values ('hs', gen_random_uuid(), now_ms() + 60000)`,
    )
    await source.query('create table not_ours (id int)')
    const pieces: Buffer[] = []
    await dumpDatabase(source, {
      version: '1.2.3',
      write: (piece) => Promise.resolve(void pieces.push(piece)),
    })
    await target.query(`create extension if not exists plpgsql`)
    loaded = await loadDatabase(target, { serverName: 'x', pieces: inBits(pieces) })
  })
  after(() => Promise.all([source.end(), target.end()]))

  /** Cut anywhere, as a file is read. */
  function* bits(pieces: readonly Buffer[]): Generator<Buffer> {
    const all = Buffer.concat(pieces)
    for (let at = 0; at < all.length; at += 61) yield all.subarray(at, at + 61)
  }
  // eslint-disable-next-line @typescript-eslint/require-await
  async function* inBits(pieces: readonly Buffer[]): AsyncGenerator<Buffer> {
    yield* bits(pieces)
  }

  it('has every row of every table, with every column, as it was', async () => {
    const here = await contents(source)
    delete here['not_ours']
    expect(Object.keys(here).length).to.be.above(25)
    for (const [table, rows] of Object.entries(here))
      expect(rows, `rows of ${table} in the source`).not.to.be.empty
    expect(await contents(target)).to.deep.equal(here)
    expect(loaded.rows).to.equal(Object.values(here).flat().length)
  })

  it('goes on with the ids where the source was', async () => {
    expect(await nextIds(target)).to.deep.equal(await nextIds(source))
  })

  it('has the parts of the log, and room for the next positions', async () => {
    const attached = async (pool: Pool) =>
      (await listPartitions(pool)).filter(({ state }) => state === 'attached')
    expect(await attached(target)).to.deep.equal(await attached(source))
    expect((await attached(target)).map(({ from }) => from)).not.to.include(0)
  })

  it('has the schema of this release, its indexes and triggers as migrations make them', async () => {
    expect(await checkSchema(target)).to.equal(null)
    const made = `select indexdef as it from pg_indexes where tablename !~ 'not_ours|^events_'
      union all select t.tgrelid::regclass || ' ' || t.tgname || ' ' || t.tgenabled::text from pg_trigger t order by 1`
    const of = async (pool: Pool) => (await pool.query<{ it: string }>(made)).rows.map(({ it }) => it)
    expect(await of(target)).to.deep.equal(await of(source))
  })

  it('has nobody who holds anything', async () => {
    const { rows } = await target.query('select from workers union all select from source_leases')
    expect(rows).to.deep.equal([])
  })
})
