/**
 * What a copy of the database carries: which tables with which columns, the partitions of the log, and how far each
 * counter of ids is. Read from the database's own catalogue, so that a migration's new table or column is carried too.
 *
 * Only tables that a migration makes are limpet's: a schema may hold others. What is not carried holds good for running
 * processes alone, or is made by the migrations.
 */
import type { Db } from '../db.ts'
import { sql, variants } from '../statement.ts'

/** Left out: who held what in the source, and for how long, and which migrations made its tables (the header says that). */
export const NOT_CARRIED: readonly string[] = ['workers', 'source_leases', 'limpet_migrations']

export interface TableShape {
  name: string
  /** Without those that PostgreSQL computes. */
  columns: string[]
}

/** A part of a table that is divided by ranges of a number. */
export interface PartShape {
  table: string
  name: string
  /** Inclusive. */
  from: number
  /** Exclusive. */
  to: number
}

/** The counter behind a column of ids. */
export interface CounterShape {
  table: string
  column: string
  last: number
  /** False: `last` was not given out yet. */
  used: boolean
}

export interface SchemaShape {
  tables: TableShape[]
  parts: PartShape[]
  counters: CounterShape[]
}

const OURS = `c.relnamespace = (select relnamespace from pg_class where oid = to_regclass('limpet_migrations'))`

const TABLES = sql(
  'list the tables to copy',
  `select c.relname as name, array_agg(a.attname::text order by a.attnum) as columns
     from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
    where ${OURS} and c.relkind in ('r', 'p') and not c.relispartition and c.relname = any($1)
    group by c.relname order by c.relname`,
)

/** Those of limpet's tables that are there and carried. `made`: by the migrations. */
export async function listTables(db: Db, made: readonly string[]): Promise<TableShape[]> {
  const carried = made.filter((name) => !NOT_CARRIED.includes(name))
  const { rows } = await db.query<{ name: string; columns: string[] }>(TABLES, [carried])
  return rows
}

// A part that is being detached is over already: nothing that it holds is owed or shown.
const PARTS = sql(
  'list the parts to copy',
  `select p.relname as table, c.relname as name, pg_get_expr(c.relpartbound, c.oid) as bound
     from pg_inherits i join pg_class c on c.oid = i.inhrelid join pg_class p on p.oid = i.inhparent
    where ${OURS} and c.relispartition and p.relname = any($1) and not i.inhdetachpending order by c.relname`,
)

const BOUND = /^FOR VALUES FROM \('(\d+)'\) TO \('(\d+)'\)$/

export async function listParts(db: Db, tables: readonly TableShape[]): Promise<PartShape[]> {
  const { rows } = await db.query<{ table: string; name: string; bound: string }>(PARTS, [namesOf(tables)])
  return rows.map(({ table, name, bound }) => {
    const [, from, to] = BOUND.exec(bound) ?? []
    if (from === undefined || to === undefined)
      throw new Error(`the partition ${name} is not one of limpet's: ${bound}`)
    return { table, name, from: Number(from), to: Number(to) }
  })
}

const COUNTERS = sql(
  'list the counters to copy',
  `select c.relname as table, a.attname as column, pg_get_serial_sequence(c.oid::regclass::text, a.attname) as counter
     from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attidentity <> '' and not a.attisdropped
    where ${OURS} and c.relname = any($1) order by 1, 2`,
)

const readCounter = variants('read a counter')

/** A counter belongs to no snapshot: read after the snapshot was taken, it is past every id in it. */
export async function readCounters(db: Db, tables: readonly TableShape[]): Promise<CounterShape[]> {
  const counters = await listCounters(db, tables)
  const read: CounterShape[] = []
  for (const { table, column, counter } of counters) {
    const text = readCounter(`select last_value as last, is_called as used from ${counter}`)
    const { rows } = await db.query<{ last: number; used: boolean }>(text)
    const [row] = rows
    if (row !== undefined) read.push({ table, column, ...row })
  }
  return read
}

/** `counter`: its name as SQL. */
export async function listCounters(
  db: Db,
  tables: readonly TableShape[],
): Promise<{ table: string; column: string; counter: string }[]> {
  const { rows } = await db.query<{ table: string; column: string; counter: string }>(COUNTERS, [
    namesOf(tables),
  ])
  return rows
}

const namesOf = (tables: readonly TableShape[]): string[] => tables.map(({ name }) => name)

/** As an identifier in SQL. */
export const quotedName = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** A table with its columns, as COPY names them. */
export const copied = ({ name, columns }: TableShape): string =>
  `${quotedName(name)} (${columns.map(quotedName).join(', ')})`
