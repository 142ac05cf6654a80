/** Which statements cost the database how much, where it was asked to count (`--statements`). */
import { table } from '../../src/cli/admin/table.ts'
import type { Pool } from '../../src/store/db.ts'

interface Row {
  query: string
  calls: number
  plan: number
  exec: number
  wal: number
}

export async function resetStatements(pool: Pool): Promise<void> {
  await pool.query('create extension if not exists pg_stat_statements')
  await pool.query('select pg_stat_statements_reset()')
}

/** How many statements were executed since `resetStatements`, in this database alone, by `user` or by all. */
export async function countStatements(pool: Pool, user: string | null = null): Promise<number> {
  const { rows } = await pool.query<{ calls: number }>(
    `select coalesce(sum(calls), 0)::bigint as calls from pg_stat_statements
      where dbid = (select oid from pg_database where datname = current_database()) and query !~ 'pg_stat_statements'
        and ($1::text is null or userid = (select oid from pg_roles where rolname = $1))`,
    [user],
  )
  return rows[0]?.calls ?? 0
}

/** The dearest statements since `resetStatements`, of this database alone. */
export async function dearestStatements(pool: Pool): Promise<string> {
  const { rows } = await pool.query<Row>(
    `select regexp_replace(query, '\\s+', ' ', 'g') as query, calls,
            total_plan_time as plan, total_exec_time as exec, wal_bytes::float8 as wal
       from pg_stat_statements where dbid = (select oid from pg_database where datname = current_database())
      order by total_plan_time + total_exec_time desc limit 24`,
  )
  return table(
    rows,
    [
      { title: 'CALLS', value: ({ calls }) => calls, right: true },
      { title: 'PLAN ms', value: ({ plan }) => Math.round(plan), right: true },
      { title: 'EXEC ms', value: ({ exec }) => Math.round(exec), right: true },
      { title: 'EACH ms', value: ({ plan, exec, calls }) => ((plan + exec) / calls).toFixed(3), right: true },
      { title: 'WAL B', value: ({ wal, calls }) => Math.round(wal / calls), right: true },
      { title: 'STATEMENT', value: ({ query }) => query.slice(0, 90), shrinkTo: 20 },
    ],
    150,
  )
}
