/**
 * Writes everything that limpet keeps in a database as a dump (`format.ts`), also while limpet runs on it.
 *
 * Promise: the dump is one moment of the database. All reads are on one snapshot, and every table is locked against
 * being altered or dropped before it is taken. Nothing is written, and nothing waits for it but what alters tables: a
 * part of the log that is to be dropped stays until the dump ends. The database's schema may be older than this
 * release's; the dump has that schema.
 */
import { createHash } from 'node:crypto'
import type { PoolClient } from 'pg'
import { inSnapshot, nowMs, type Db, type Pool } from '../db.ts'
import { boundServerName } from '../ingest/bound-server-name.ts'
import { readApplied, refuseUnknown, tablesMade } from '../migrate.ts'
import { command, sql, variants } from '../statement.ts'
import { readHead } from '../stream.ts'
import { copyOut } from './copy-out.ts'
import { DumpError } from './dump-error.ts'
import { END_OF_ROWS, FORM, lineOfJson, type DumpHeader } from './format.ts'
import { listParts, listTables, quotedName, readCounters, type TableShape } from './shape.ts'

export interface DumpNeeds {
  /** This release of limpet. */
  version: string
  /** Takes a piece; resolves when it takes more. */
  write: (piece: Buffer) => Promise<void>
  /** Told of each table before its rows. */
  onTable?: (name: string) => void
}

/** What was copied, for people. */
export interface Copied {
  header: DumpHeader
  tables: number
  rows: number
}

// Text that other versions read as we do, whatever an operator has set for the role; a slow reader may take its time.
const EXACT =
  command(`select set_config('datestyle', 'ISO', true), set_config('intervalstyle', 'postgres', true),
  set_config('extra_float_digits', '3', true), set_config('bytea_output', 'hex', true), set_config('row_security', 'off', true),
  set_config('idle_in_transaction_session_timeout', '0', true)`)

const POSTGRES = sql('which version is it', `select current_setting('server_version') as version`)

const lockTables = variants('lock the tables to copy')
const readTable = variants('copy a table out')

/** @throws SchemaError where this release doesn't know the schema, DumpError, or what `write` throws. `pool`: without a time limit for a statement */
export async function dumpDatabase(pool: Pool, { version, write, onTable }: DumpNeeds): Promise<Copied> {
  const made = await tablesMade()
  // Named before there is a snapshot: who waits for a lock must not have taken one.
  const named = await listTables(pool, made)
  if (named.length === 0) throw new DumpError('the database has no limpet schema: there is nothing to dump')
  return inSnapshot(pool, async (db) => {
    await db.query(
      lockTables(`lock table ${named.map(({ name }) => quotedName(name)).join(', ')} in access share mode`),
    )
    await db.query(EXACT)
    const tables = await listTables(db, made)
    if (JSON.stringify(tables) !== JSON.stringify(named))
      throw new DumpError('the database is being migrated: try again in a moment')
    const header = await describe(db, tables, version)
    const sum = createHash('sha256')
    const put = async (piece: Buffer) => {
      sum.update(piece)
      await write(piece)
    }
    await put(lineOfJson(header))
    let rows = 0
    for (const table of tables) {
      onTable?.(table.name)
      rows += await putTable(db, table, put)
    }
    await write(lineOfJson({ tables: tables.length, rows, sha256: sum.digest('hex') }))
    return { header, tables: tables.length, rows }
  })
}

async function describe(db: Db, tables: TableShape[], version: string): Promise<DumpHeader> {
  const ledger = await readApplied(db)
  await refuseUnknown(ledger, 'the database schema')
  const { rows } = await db.query<{ version: string }>(POSTGRES)
  return {
    limpet_dump: FORM,
    version,
    postgres: rows[0]?.version ?? '',
    at: await nowMs(db),
    server_name: await boundServerName(db),
    head: await readHead(db),
    ledger,
    tables,
    parts: await listParts(db, tables),
    counters: await readCounters(db, tables),
  }
}

async function putTable(
  db: PoolClient,
  table: TableShape,
  put: (piece: Buffer) => Promise<void>,
): Promise<number> {
  // Of a table in parts COPY takes only a select.
  const columns = table.columns.map(quotedName).join(', ')
  const text = readTable(`copy (select ${columns} from ${quotedName(table.name)}) to stdout`)
  const rows = await copyOut(db, text, put)
  await put(END_OF_ROWS)
  await put(lineOfJson({ table: table.name, rows }))
  return rows
}
