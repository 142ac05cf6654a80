/**
 * Time passes, for the database and for what running processes have seen of it: a real daemon's own clock cannot be put
 * forward. Everything that is in the log by now is as much older afterwards.
 */
import type { Pool } from '../../src/store/db.ts'

export async function letTimePass(pool: Pool, ms: number): Promise<void> {
  await pool.query(
    `insert into seen_marks (seen_ms, head, low) select t.seen_ms, s.head, now_ms() from seen_time t, stream s
     on conflict (seen_ms) do update set head = excluded.head`,
  )
  await pool.query('update seen_time set seen_ms = seen_ms + $1', [ms])
  await pool.query(
    `insert into settings (key, value) values ('clock_offset_ms', $1)
     on conflict (key) do update set value = (settings.value::bigint + $1::bigint)::text`,
    [String(ms)],
  )
}
