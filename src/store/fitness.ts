/**
 * Can limpet work in this database? Asked when it is opened for a daemon or migrated, and by `limpet check-config`.
 * What is missing is said in one line, before anything is written.
 */
import type { Db } from './db.ts'
import { sql } from './statement.ts'

/** The database can't be used as it is; the message says what to do. `passing`: it may be another one in a minute. */
export class UnfitDatabaseError extends Error {
  readonly code = 'UNFIT_DATABASE'
  readonly passing: boolean

  constructor(message: string, { passing = false, ...options }: ErrorOptions & { passing?: boolean } = {}) {
    super(message, options)
    this.name = 'UnfitDatabaseError'
    this.passing = passing
  }
}

export interface FitnessNeeds {
  /** The queue's schema; null: the queue is elsewhere. */
  readonly queueSchema: string | null
  /** Whether what is missing will be made. */
  readonly migrating: boolean
}

/** README, "Node.js, PostgreSQL": the oldest that has `idle_session_timeout`, which ends the lock of a stopped sweeper. */
const OLDEST = 140000

interface FoundDatabase {
  version: number
  version_text: string
  encoding: string
  role: string
  database: string
  search_path: string
  schema: string | null
  may_create: boolean | null
  may_make_schemas: boolean
  owner: string | null
  is_owner: boolean | null
  queue_schema: boolean
  may_use_queue: boolean | null
}

const LOOK = sql(
  'is the database fit',
  `select current_setting('server_version_num')::int as version, current_setting('server_version') as version_text,
         current_setting('server_encoding') as encoding,
         current_user as role, current_database() as database, current_setting('search_path') as search_path,
         current_schema() as schema, has_schema_privilege(current_schema(), 'create') as may_create,
         has_database_privilege(current_database(), 'create') as may_make_schemas,
         pg_get_userbyid(t.relowner) as owner, pg_has_role(t.relowner, 'usage') as is_owner,
         q.oid is not null as queue_schema, has_schema_privilege(q.oid, 'usage') as may_use_queue
    from (values (1)) one
    left join pg_class t on t.oid = to_regclass('limpet_migrations')
    left join pg_namespace q on q.nspname = $1`,
)

/** @throws UnfitDatabaseError */
export async function refuseUnfit(db: Db, needs: FitnessNeeds): Promise<void> {
  const { rows } = await db.query<FoundDatabase>(LOOK, [needs.queueSchema ?? ''])
  const [found] = rows
  if (found === undefined) return
  const complaint = complain(found, needs)
  if (complaint !== null) throw new UnfitDatabaseError(complaint)
}

function complain(found: FoundDatabase, { queueSchema, migrating }: FitnessNeeds): string | null {
  const { role, database, schema, owner } = found
  if (found.version < OLDEST)
    return `the database is PostgreSQL ${found.version_text}: limpet needs 14 or newer`
  if (found.encoding !== 'UTF8')
    return `the database ${database} has the encoding ${found.encoding}: limpet needs a database with encoding UTF8 (create database … encoding 'UTF8' template template0)`
  if (schema === null)
    return `no schema of the search_path (${found.search_path}) exists for ${role}: create one, or set search_path`
  if (found.may_create !== true)
    return `${role} may not create tables in the schema ${schema} of the database ${database}: grant create on schema ${quoted(schema)} to ${quoted(role)}`
  if (found.is_owner === false)
    return `limpet's tables belong to ${owner ?? 'another role'}, and ${role} can't alter them: connect as that role, or grant it to ${role}`
  if (queueSchema === null) return null
  if (migrating && !found.may_make_schemas)
    return `${role} may not create the queue's schema ${queueSchema}: grant create on database ${quoted(database)} to ${quoted(role)}`
  if (found.queue_schema && found.may_use_queue !== true)
    return `${role} may not use the queue's schema ${queueSchema}: grant usage on schema ${queueSchema} to ${quoted(role)}`
  return null
}

/** As an identifier in SQL. */
const quoted = (name: string): string =>
  /^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`
