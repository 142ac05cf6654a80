/**
 * The form of a dump, before it is compressed: a line of JSON that says what is in it, then for each table its rows, one
 * a line as COPY writes them, a line `\.`, and a line of JSON with their number; at the end a line with the sum of all
 * numbers and a SHA-256 of everything above it.
 *
 *     {"limpet_dump":1,"server_name":"example.org","ledger":[[1,"0001_limpet.sql","…"]],"tables":[…],…}
 *     1⇥!room:example.org⇥11⇥…
 *     \.
 *     {"table":"rooms","rows":1}
 *     {"tables":34,"rows":1,"sha256":"…"}
 *
 * No row is a line `\.`: COPY writes a backslash as two.
 */
import type { Applied } from '../migrate.ts'
import { damaged } from './dump-error.ts'
import type { SchemaShape } from './shape.ts'

/** Of the form. Another number: a release that does not know it refuses it. */
export const FORM = 1

export interface DumpHeader extends SchemaShape {
  limpet_dump: typeof FORM
  /** The release of limpet that wrote it. */
  version: string
  /** Of PostgreSQL. */
  postgres: string
  /** When, by the database's clock, ms since the epoch. */
  at: number
  /** Null: the database was never run. */
  server_name: string | null
  /** The position of the newest item. */
  head: number
  /** The migrations that made the schema. */
  ledger: Applied[]
}

/** What stands behind the rows of a table. */
export interface TableEnd {
  table: string
  rows: number
}

/** The last line. */
export interface DumpEnd {
  tables: number
  rows: number
  /** Hexadecimal. */
  sha256: string
}

/** As it ends the rows of a table. */
export const END_OF_ROWS = Buffer.from('\\.\n')

export const lineOfJson = (value: DumpHeader | TableEnd | DumpEnd): Buffer =>
  Buffer.from(`${JSON.stringify(value)}\n`)

type Known = Readonly<Record<string, unknown>>

const isRecord = (value: unknown): value is Known =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0
const isText = (value: unknown): value is string => typeof value === 'string'
/** Every name in our schema is one, so that none that a file holds means anything else in SQL. */
const isName = (value: unknown): value is string => isText(value) && /^[a-z_][a-z0-9_]{0,62}$/.test(value)

function listOf<T>(value: unknown, is: (one: Known) => boolean): T[] {
  if (!Array.isArray(value) || !value.every((one) => isRecord(one) && is(one)))
    damaged('its header is not complete')
  return value as T[]
}

function record(line: string): Known {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (error) {
    damaged('a line is not JSON', error)
  }
  return isRecord(value) ? value : damaged('a line is not an object')
}

/** @throws DumpError */
export function parseHeader(line: string): DumpHeader {
  const { limpet_dump, version, postgres, at, server_name, head, ...lists } = record(line)
  if (limpet_dump !== FORM)
    damaged(`it has the form ${JSON.stringify(limpet_dump)}, and this limpet knows form ${FORM}`)
  if (!isText(version) || !isText(postgres) || !isCount(at) || !isCount(head))
    damaged('its header is not complete')
  if (server_name !== null && !isText(server_name)) damaged('its header has no server_name')
  const { ledger, tables, parts, counters } = lists as Record<keyof DumpHeader, unknown>
  return {
    ...{ limpet_dump: FORM, version, postgres, at, server_name, head },
    ledger: listOf(
      ledger,
      (one) => isCount(one['version']) && isText(one['name']) && isText(one['checksum']),
    ),
    tables: listOf(
      tables,
      ({ name, columns }) => isName(name) && Array.isArray(columns) && columns.every(isName),
    ),
    parts: listOf(
      parts,
      ({ table, name, from, to }) => isName(table) && isName(name) && isCount(from) && isCount(to),
    ),
    counters: listOf(
      counters,
      ({ table, column, last, used }) =>
        isName(table) && isName(column) && isCount(last) && typeof used === 'boolean',
    ),
  }
}

/** @throws DumpError */
export function parseTableEnd(line: string): TableEnd {
  const { table, rows } = record(line)
  return isText(table) && isCount(rows)
    ? { table, rows }
    : damaged('the number of rows of a table is missing')
}

/** @throws DumpError */
export function parseDumpEnd(line: string): DumpEnd {
  const { tables, rows, sha256 } = record(line)
  return isCount(tables) && isCount(rows) && isText(sha256)
    ? { tables, rows, sha256 }
    : damaged('its last line is not complete')
}
