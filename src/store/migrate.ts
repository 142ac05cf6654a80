/**
 * Brings the database to this version's schema, and says whether this version knows a schema.
 *
 * Migrations are numbered files, forward only, each in one transaction, with a ledger of checksums. Two processes that
 * start together wait for each other on an advisory lock.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { boundServerName } from './ingest/bound-server-name.ts'
import { inTransaction, type Db, type Pool } from './db.ts'
import { SchemaError } from './schema-error.ts'
import { command, sql } from './statement.ts'

export { SchemaError }

// Found from src/store and from dist/src/store alike: the build copies the folder.
const FOLDER = fileURLToPath(new URL('../../migrations/', import.meta.url))
/** Key of the advisory lock held while migrating: "limpet" in ASCII, first four letters. */
const MIGRATE_LOCK = 0x6c696d70

/** A migration that made a part of a schema. */
export interface Applied {
  version: number
  name: string
  /** SHA-256 of its text, hexadecimal. */
  checksum: string
}

interface Migration extends Applied {
  text: string
}

async function readMigrations(folder = FOLDER): Promise<Migration[]> {
  const names = (await readdir(folder)).filter((name) => /^\d{4}_.*\.sql$/.test(name)).sort()
  return Promise.all(
    names.map(async (name) => {
      const text = await readFile(`${folder}/${name}`, 'utf8')
      const checksum = createHash('sha256').update(text).digest('hex')
      return { version: Number(name.slice(0, 4)), name, text, checksum }
    }),
  )
}

const LEDGER = sql(
  'make the ledger of migrations',
  `create table if not exists limpet_migrations (
    version integer primary key, name text not null, checksum text not null, applied_at timestamptz not null default now()
  )`,
)

const LOCK = sql('lock the migrations', 'select pg_advisory_xact_lock($1)')

const NOTE = sql(
  'note a migration',
  'insert into limpet_migrations (version, name, checksum) values ($1, $2, $3)',
)

/** Applies what is missing; idempotent. Returns the names of what it applied. Throws SchemaError on a schema it doesn't know. */
export async function migrate(pool: Pool): Promise<string[]> {
  return inTransaction(pool, async (db) => {
    await lockMigrations(db)
    return migrateOn(db)
  })
}

/** Until the transaction ends nothing else makes or migrates a schema in this database. */
export async function lockMigrations(db: Db): Promise<void> {
  await db.query(LOCK, [MIGRATE_LOCK])
}

/**
 * The same in the caller's transaction, after `lockMigrations`. `only`: no others than these, for the schema of an
 * older release.
 */
export async function migrateOn(db: Db, only?: readonly Applied[]): Promise<string[]> {
  const migrations = await readMigrations()
  await db.query(LEDGER)
  const have = await readApplied(db)
  const complaint = compare(have, migrations)
  if (complaint !== null) throw new SchemaError(complaint)
  const missing = migrations.filter(
    ({ version }) =>
      !have.some((one) => one.version === version) &&
      (only === undefined || only.some((one) => one.version === version)),
  )
  for (const { version, name, text, checksum } of missing) {
    await db.query(command(text))
    await db.query(NOTE, [version, name, checksum])
  }
  return missing.map(({ name }) => name)
}

/** Throws SchemaError where this release doesn't know one of them. `what`: whose schema they made, for people. */
export async function refuseUnknown(applied: readonly Applied[], what: string): Promise<void> {
  const complaint = compare(applied, await readMigrations(), what)
  if (complaint !== null) throw new SchemaError(complaint)
}

/** The names of all tables that the migrations of this release make, those that a later one drops included. */
export async function tablesMade(): Promise<string[]> {
  const texts = (await readMigrations()).map(({ text }) => text.replaceAll(/--.*$/gm, ''))
  const made = texts.flatMap((text) => [
    ...text.matchAll(/\bcreate (?:unlogged )?table (?:if not exists )?([a-z_][a-z0-9_]*)/gi),
  ])
  return [...new Set(made.map(([, name = '']) => name))]
}

const IS_THERE = sql('is there a schema', `select to_regclass('limpet_migrations') is not null as there`)

/** Null when the schema is this version's; else one line that says what is wrong and what to do. */
export async function checkSchema(db: Db): Promise<string | null> {
  const migrations = await readMigrations()
  const { rows } = await db.query<{ there: boolean }>(IS_THERE)
  if (rows[0]?.there !== true) return 'the database has no limpet schema: run `limpet migrate`'
  const have = await readApplied(db)
  const complaint = compare(have, migrations)
  if (complaint !== null) return complaint
  const missing = migrations.filter(({ version }) => !have.some((one) => one.version === version))
  return missing.length === 0 ? null : `the database schema is older than this limpet: run \`limpet migrate\``
}

// The newest first: it is the one to be named.
const READ_LEDGER = sql(
  'read the ledger of migrations',
  'select version, name, checksum from limpet_migrations order by version desc',
)

/** The migrations that made this schema, the newest first. */
export async function readApplied(db: Db): Promise<Applied[]> {
  const { rows } = await db.query<{ version: number; name: string; checksum: string }>(READ_LEDGER)
  return rows
}

function compare(
  have: readonly Applied[],
  known: readonly Migration[],
  what = 'the database schema',
): string | null {
  const newest = known.at(-1)?.version ?? 0
  for (const { version, checksum } of have) {
    const migration = known.find((m) => m.version === version)
    if (migration === undefined) {
      return `${what} is version ${version}, but this limpet knows only versions up to ${newest}: run the release that made it, or a newer one`
    }
    if (migration.checksum !== checksum) {
      return `migration ${migration.name} was applied with different content: this ${what.includes('dump') ? 'dump' : 'database'} was made by a different limpet`
    }
  }
  return null
}

const BIND = sql(
  'bind to a server name',
  `insert into settings (key, value) values ('server_name', $1) on conflict (key) do nothing`,
)

/** Binds a new database to `serverName`; throws SchemaError when it is bound to another. */
export async function bindServerName(db: Db, serverName: string): Promise<void> {
  await db.query(BIND, [serverName])
  const bound = await boundServerName(db)
  if (bound !== serverName) {
    throw new SchemaError(
      `the database belongs to server_name ${bound ?? '?'}, but the configuration says ${serverName}: use another database`,
    )
  }
}
