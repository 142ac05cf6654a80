/**
 * A statement and its name. The name is written beside the statement and used everywhere: in `pg_stat_statements` and
 * `pg_stat_activity` (as a comment behind the first keyword), for the prepared statement, and in the model test with
 * its stories and its list of statements that never ran.
 *
 * Always: a name means one text. If a statement has to be put together (an order, the name of a partition), its texts
 * are variants of one name, which is declared so. All names are in `statement-names.ts`, grouped by the part that runs
 * them.
 */
import { createHash } from 'node:crypto'
import type { StatementName } from './statement-names.ts'

declare const checked: unique symbol

/** The text of a statement that has its name in it. A plain string is none. */
export type Sql = string & { readonly [checked]: true }

const written = new Map<StatementName, string | null>()

/**
 * A statement, named once and for all. Call it where a module is loaded, not where the statement is run.
 * @throws Error for a second text under a name
 */
export function sql(name: StatementName, text: string): Sql {
  const known = written.get(name)
  if (known !== undefined && known !== text)
    throw new Error(`two statements are called “${name}”: give one of them a name of its own`)
  written.set(name, text)
  return named(name, text)
}

/**
 * A statement whose text is put together where it is run. Call this, too, where a module is loaded.
 * @throws Error where the name is that of another statement
 */
export function variants(name: StatementName): (text: string) => Sql {
  if (typeof written.get(name) === 'string')
    throw new Error(`“${name}” is a statement with one text, and this one has several`)
  written.set(name, null)
  return (text) => named(name, text)
}

/** Text that needs no name: the commands of a session, and the files of migrations. */
export const command = (text: string): Sql => text as Sql

/** The names that were given so far. */
export const writtenNames = (): ReadonlySet<string> => new Set(written.keys())

const named = (name: string, text: string): Sql => {
  const keyword = /^\s*([a-z]+)(?=\s)/.exec(text)
  if (keyword === null) throw new Error(`“${name}” does not begin with a keyword`)
  return `${keyword[1] ?? ''} /* ${name} */${text.slice(keyword[0].length)}` as Sql
}

const NAME = /^(?:\/\* many \*\/)?[a-z]+ \/\* (.+?) \*\/\s/

/** The name that is in a text; null: it has none. */
export const nameIn = (text: string): string | null => NAME.exec(text)?.[1] ?? null

/** As much of a name as PostgreSQL keeps, bytes. */
const MOST_BYTES = 63

/**
 * Under what a text is prepared; null: it has no name. The text's hash is part of it: behind a pooler a session may still
 * know another release's text of that name.
 */
export function preparedName(text: string): string | null {
  const name = nameIn(text)
  if (name === null) return null
  const hash = createHash('sha256').update(text).digest('hex').slice(0, 8)
  return `${name.slice(0, MOST_BYTES - hash.length - 1)} ${hash}`
}
