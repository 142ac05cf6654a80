/**
 * Fills an empty database from a dump, whole or not at all.
 *
 * Promise: everything is one transaction. First the schema is made as the dump's release had it, then its rows are put in
 * as they were (no trigger runs), then they are counted, and then the schema is brought to this release's. Whatever goes
 * wrong before the commit leaves the database as empty as it was. No limpet can start on it meanwhile: it would wait
 * for the lock of migrations.
 *
 * Nothing holds anything in a copy: leases are not carried (`shape.ts`), so every destination is free to be taken.
 */
import type { PoolClient } from 'pg'
import { inTransaction, type Db, type Pool } from '../db.ts'
import { lockMigrations, migrateOn, refuseUnknown, tablesMade } from '../migrate.ts'
import { SchemaError } from '../schema-error.ts'
import { command, sql, variants } from '../statement.ts'
import { copyIn } from './copy-in.ts'
import type { Copied } from './dump.ts'
import { damaged, DumpError } from './dump-error.ts'
import { parseHeader, parseTableEnd, type DumpHeader } from './format.ts'
import { readDump, type DumpReader } from './read-dump.ts'
import { copied, listCounters, listParts, listTables, quotedName, type TableShape } from './shape.ts'

export interface LoadNeeds {
  /** Whose dump it has to be. */
  serverName: string
  /** What the dump is, as text, in pieces. */
  pieces: AsyncIterable<Buffer>
  /** Told of each table before its rows. */
  onTable?: ((name: string) => void) | undefined
  /** Runs when everything is in, before the commit; throws where the copy must not be. */
  lastLook?: () => Promise<void>
}

export interface LoadedDump extends Copied {
  /** Migrations by which the schema is newer than the dump's. */
  migrated: string[]
}

/** @throws SchemaError for a dump of another server name or of a schema that this release doesn't know, DumpError. `pool`: without a time limit for a statement */
export async function loadDatabase(pool: Pool, needs: LoadNeeds): Promise<LoadedDump> {
  return inTransaction(pool, async (db) => {
    await db.query(PATIENT)
    await lockMigrations(db)
    await refuseFull(db)
    const reader = readDump(needs.pieces)
    const header = parseHeader(await reader.line())
    await refuseOther(header, needs.serverName)
    await migrateOn(db, header.ledger)
    await makeRoom(db, header)
    const rows = await putRows(db, header, reader, needs.onTable)
    await reader.end(header.tables.length, rows)
    await setCounters(db, header)
    const migrated = await migrateOn(db)
    for (const { name } of header.tables) await db.query(analyze(`analyze ${quotedName(name)}`))
    await needs.lastLook?.()
    return { header, tables: header.tables.length, rows, migrated }
  })
}

// The source may take its time.
const PATIENT = command(`select set_config('idle_in_transaction_session_timeout', '0', true)`)

// What an extension brought (pg_stat_statements, say) is nobody's data.
const FULL = sql(
  'what is in the schema',
  `select current_database() as database, current_schema() as schema,
          array_agg(c.relname::text order by c.relname) filter (where c.oid is not null) as names
     from (values (1)) one
     left join pg_class c on c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
      and (c.relnamespace = current_schema()::regnamespace or c.oid = to_regclass('limpet_migrations'))
      and not exists (select from pg_depend e where e.classid = 'pg_class'::regclass and e.objid = c.oid and e.deptype = 'e')`,
)

async function refuseFull(db: Db): Promise<void> {
  const { rows } = await db.query<{ database: string; schema: string; names: string[] | null }>(FULL)
  const [found] = rows
  if (found?.names == null) return
  const { database, schema, names } = found
  const what = names.includes('limpet_migrations')
    ? "limpet's tables are there already"
    : `there is already ${names.slice(0, 3).join(', ')}${names.length > 3 ? ', …' : ''}`
  throw new DumpError(
    `the schema ${schema} of the database ${database} is not empty (${what}): a copy goes only into an empty one`,
  )
}

async function refuseOther({ server_name, ledger }: DumpHeader, serverName: string): Promise<void> {
  await refuseUnknown(ledger, "the dump's schema")
  if (server_name !== null && server_name !== serverName)
    throw new SchemaError(
      `the dump belongs to server_name ${server_name}, but the configuration says ${serverName}: use the configuration of ${server_name}`,
    )
}

const analyze = variants('analyze a table')
const dropPart = variants('drop a part')
const makePart = variants('make a part')
const empty = variants('empty the tables')
const triggers = variants('switch the triggers of a table')

/** Makes the tables as the dump has them, and empty: migrations leave rows, and the first parts of the log. */
async function makeRoom(db: Db, header: DumpHeader): Promise<void> {
  const tables = await listTables(db, await tablesMade())
  const difference = differenceOf(header.tables, tables)
  if (difference !== null) damaged(`its schema has ${difference}, which no limpet made so`)
  for (const { name } of await listParts(db, tables))
    await db.query(dropPart(`drop table ${quotedName(name)}`))
  for (const { table, name, from, to } of header.parts) {
    if (!tables.some((one) => one.name === table)) damaged(`${name} is a part of no table`)
    const [part, whole] = [quotedName(name), quotedName(table)]
    await db.query(
      makePart(`create table ${part} partition of ${whole} for values from (${from}) to (${to})`),
    )
  }
  await db.query(empty(`truncate ${tables.map(({ name }) => quotedName(name)).join(', ')}`))
}

/** A table or a column that only one of both has; null: they are the same. */
function differenceOf(dumped: readonly TableShape[], made: readonly TableShape[]): string | null {
  const names = (tables: readonly TableShape[]) =>
    tables.flatMap(({ name, columns }) => columns.map((column) => `${name}.${column}`))
  const [theirs, ours] = [new Set(names(dumped)), new Set(names(made))]
  const more = [...theirs].find((name) => !ours.has(name))
  const less = [...ours].find((name) => !theirs.has(name))
  return more ?? (less === undefined ? null : `no ${less}`)
}

const readRows = variants('copy a table in')
const count = variants('count a copied table')

async function putRows(
  db: PoolClient,
  { tables }: DumpHeader,
  reader: DumpReader,
  onTable: LoadNeeds['onTable'],
): Promise<number> {
  let rows = 0
  for (const table of tables) {
    const { name } = table
    onTable?.(name)
    const quoted = quotedName(name)
    // What they would set is in the rows.
    await db.query(triggers(`alter table ${quoted} disable trigger user`))
    await copyIn(db, readRows(`copy ${copied(table)} from stdin`), reader.rows())
    await db.query(triggers(`alter table ${quoted} enable trigger user`))
    const said = parseTableEnd(await reader.line())
    if (said.table !== name) damaged(`the rows of ${name} are those of ${said.table}`)
    const { rows: counted } = await db.query<{ n: number }>(count(`select count(*) as n from ${quoted}`))
    const n = counted[0]?.n ?? 0
    if (n !== said.rows) damaged(`it had ${said.rows} rows of ${name}, and ${n} are there`)
    rows += n
  }
  return rows
}

const SET_COUNTER = sql('set a counter', 'select setval($1::regclass, $2, $3)')

async function setCounters(db: Db, header: DumpHeader): Promise<void> {
  for (const { table, column, counter } of await listCounters(db, header.tables)) {
    const had = header.counters.find((one) => one.table === table && one.column === column)
    if (had === undefined) damaged(`it does not say how far the ids of ${table} were`)
    await db.query(SET_COUNTER, [counter, had.last, had.used])
  }
}
