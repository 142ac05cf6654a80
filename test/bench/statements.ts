/** What did PostgreSQL do, all together and (`--statements`) statement by statement? */
import { table } from '../../src/cli/admin/table.ts'
import type { Pool } from '../../src/store/db.ts'

interface Row {
  query: string
  calls: number
  plan: number
  exec: number
  blocks: number
  wal: number
}

export interface DatabaseCounts {
  statements: number
  /** Of 8 KB, found in PostgreSQL's memory or read. */
  blocks: number
  walBytes: number
}

/** A statement of ours that holds this is not counted: the benchmark watches what others do. */
export const ASIDE = '/* not counted */'

// In this database alone. What has `pg_stat_statements` in it is ours as well.
const COUNTED = `dbid = (select oid from pg_database where datname = current_database())
  and query !~ 'pg_stat_statements' and strpos(query, '${ASIDE}') = 0`

export async function resetStatements(pool: Pool): Promise<void> {
  await pool.query('select pg_stat_statements_reset()')
}

/** So far: statements and their blocks in this database; WAL of the whole server, commits and autovacuum included. */
export async function countDatabase(pool: Pool): Promise<DatabaseCounts> {
  const { rows } = await pool.query<DatabaseCounts>(
    `select coalesce(sum(calls), 0)::float8 as statements,
            coalesce(sum(shared_blks_hit + shared_blks_read), 0)::float8 as blocks,
            pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 as "walBytes"
       from pg_stat_statements where ${COUNTED}`,
  )
  return rows[0] ?? { statements: NaN, blocks: NaN, walBytes: NaN }
}

/** How many statements were executed since `resetStatements`, in this database alone, by `user` or by all. */
export async function countStatements(pool: Pool, user: string | null = null): Promise<number> {
  const { rows } = await pool.query<{ calls: number }>(
    `select coalesce(sum(calls), 0)::bigint as calls from pg_stat_statements where ${COUNTED}
        and ($1::text is null or userid = (select oid from pg_roles where rolname = $1))`,
    [user],
  )
  return rows[0]?.calls ?? 0
}

/** The dearest statements since `resetStatements`, of this database alone. */
export async function dearestStatements(pool: Pool): Promise<string> {
  const { rows } = await pool.query<Row>(
    `select regexp_replace(query, '\\s+', ' ', 'g') as query, calls,
            total_plan_time as plan, total_exec_time as exec,
            (shared_blks_hit + shared_blks_read)::float8 as blocks, wal_bytes::float8 as wal
       from pg_stat_statements where ${COUNTED}
      order by total_plan_time + total_exec_time desc limit 24`,
  )
  return table(
    rows,
    [
      { title: 'CALLS', value: ({ calls }) => calls, right: true },
      { title: 'PLAN ms', value: ({ plan }) => Math.round(plan), right: true },
      { title: 'EXEC ms', value: ({ exec }) => Math.round(exec), right: true },
      { title: 'EACH ms', value: ({ plan, exec, calls }) => ((plan + exec) / calls).toFixed(3), right: true },
      { title: 'BLOCKS', value: ({ blocks, calls }) => (blocks / calls).toFixed(1), right: true },
      { title: 'WAL B', value: ({ wal, calls }) => Math.round(wal / calls), right: true },
      { title: 'STATEMENT', value: ({ query }) => query.slice(0, 90), shrinkTo: 20 },
    ],
    160,
  )
}
