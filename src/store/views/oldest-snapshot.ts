/**
 * How old is the oldest snapshot that is held on our database? Rows that were replaced since then cannot be cleaned
 * up. So the rows that every commit writes get longer chains of versions, and each commit gets slower.
 *
 * Sessions, prepared transactions and replication slots are asked. Every role can see that a session holds a snapshot,
 * but only `pg_read_all_stats` shows since when, and of a slot nothing shows it. Then the age counts from when limpet
 * first saw it, and is never more than the true one.
 */
import type { Clock } from '../../pace/clock.ts'
import type { Db } from '../db.ts'
import { sql } from '../statement.ts'

/** The age of the oldest, ms; 0: there is none. */
export type OldestSnapshot = (db: Db) => Promise<number>

// A session that only cleans up keeps no other waiting: PostgreSQL leaves its own cleaners out, which no user runs. A standby that reports
// what its readers need has no database; a slot for changes (`catalog_xmin`) keeps the catalogue only, and that is enough.
const HOLDERS = sql(
  'who holds an old snapshot',
  `select 'session ' || a.pid || ' ' || coalesce(a.backend_xmin, a.backend_xid)::text as holder,
         (extract(epoch from clock_timestamp() - a.xact_start) * 1000)::float8 as age
    from pg_stat_activity a
   where a.pid <> pg_backend_pid() and a.usesysid is not null
     and (a.datname = current_database() or a.datname is null)
     and (a.backend_xmin is not null or a.backend_xid is not null)
  union all
  select 'prepared ' || p.gid, (extract(epoch from clock_timestamp() - p.prepared) * 1000)::float8
    from pg_prepared_xacts p where p.database = current_database()
  union all
  select 'slot ' || s.slot_name || ' ' || coalesce(s.xmin, s.catalog_xmin)::text, null
    from pg_replication_slots s
   where (s.xmin is not null or s.catalog_xmin is not null) and (s.database = current_database() or s.database is null)`,
)

export function makeOldestSnapshot(clock: Pick<Clock, 'monotonic'>): OldestSnapshot {
  let firstSeen = new Map<string, number>()
  return async (db) => {
    const { rows } = await db.query<{ holder: string; age: number | null }>(HOLDERS)
    const now = clock.monotonic()
    firstSeen = new Map(rows.map(({ holder }) => [holder, firstSeen.get(holder) ?? now]))
    return Math.max(0, ...rows.map(({ holder, age }) => age ?? now - (firstSeen.get(holder) ?? now)))
  }
}
