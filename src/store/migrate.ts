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

interface Migration {
  version: number
  name: string
  text: string
  checksum: string
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
  const migrations = await readMigrations()
  return inTransaction(pool, async (db) => {
    await db.query(LOCK, [MIGRATE_LOCK])
    await db.query(LEDGER)
    const have = await ledger(db)
    const complaint = compare(have, migrations)
    if (complaint !== null) throw new SchemaError(complaint)
    const missing = migrations.filter(({ version }) => !have.has(version))
    for (const { version, name, text, checksum } of missing) {
      await db.query(command(text))
      await db.query(NOTE, [version, name, checksum])
    }
    return missing.map(({ name }) => name)
  })
}

const IS_THERE = sql('is there a schema', `select to_regclass('limpet_migrations') is not null as there`)

/** Null when the schema is this version's; else one line that says what is wrong and what to do. */
export async function checkSchema(db: Db): Promise<string | null> {
  const migrations = await readMigrations()
  const { rows } = await db.query<{ there: boolean }>(IS_THERE)
  if (rows[0]?.there !== true) return 'the database has no limpet schema: run `limpet migrate`'
  const have = await ledger(db)
  const complaint = compare(have, migrations)
  if (complaint !== null) return complaint
  const missing = migrations.filter(({ version }) => !have.has(version))
  return missing.length === 0 ? null : `the database schema is older than this limpet: run \`limpet migrate\``
}

// The newest first: it is the one to be named.
const READ_LEDGER = sql(
  'read the ledger of migrations',
  'select version, checksum from limpet_migrations order by version desc',
)

async function ledger(db: Db): Promise<Map<number, string>> {
  const { rows } = await db.query<{ version: number; checksum: string }>(READ_LEDGER)
  return new Map(rows.map(({ version, checksum }) => [version, checksum]))
}

function compare(have: ReadonlyMap<number, string>, known: readonly Migration[]): string | null {
  const newest = known.at(-1)?.version ?? 0
  for (const [version, checksum] of have) {
    const migration = known.find((m) => m.version === version)
    if (migration === undefined) {
      return `the database schema is version ${version}, but this limpet knows only versions up to ${newest}: run the release that made it, or a newer one`
    }
    if (migration.checksum !== checksum) {
      return `migration ${migration.name} was applied with different content: this database was made by a different limpet`
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
