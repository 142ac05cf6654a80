/**
 * Makes a Synapse's own write wait in the middle, by hand, in its database: a trigger that waits for a lock which the
 * story holds. The write's transaction stays open meanwhile, as that of a slow disk or of a busy database would. Or it waits before
 * its write, where it takes a number for it.
 */
import type pg from 'pg'
import { openPool } from '../../../src/store/db.ts'
import { holdTransaction } from '../../support/hold.ts'
import { until } from '../../support/poll.ts'
import { PATIENCE_MS } from './inside.ts'
import type { Synapse } from './synapse.ts'

export interface Dawdle {
  /** Waits until a write, or so many, are caught. */
  caught(count?: number): Promise<void>
  /** Lets it, and whatever else waits, go on; the trigger is gone then. */
  release(): Promise<void>
}

/** Any number that nobody else locks. */
const LOCK = 4354

/** Catches inserts into `table` whose row (called `new`) fulfils `when`, an SQL expression. */
export async function dawdle(
  synapse: Synapse,
  { table, when }: { table: string; when: string },
): Promise<Dawdle> {
  const pool = openPool({ url: synapse.databaseUrl, max: 2 })
  const holder: pg.PoolClient = await pool.connect()
  await holder.query('select pg_advisory_lock($1)', [LOCK])
  await pool.query(`
    create or replace function limpet_dawdle() returns trigger language plpgsql as
      $$ begin perform pg_advisory_xact_lock(${LOCK}); return new; end $$;
    create trigger limpet_dawdle before insert on ${table} for each row when (${when})
      execute function limpet_dawdle()`)
  return {
    caught: (count) => caught(pool, { lock: `locktype = 'advisory' and objid = ${LOCK}`, count, at: table }),
    async release() {
      await holder.query('select pg_advisory_unlock($1)', [LOCK])
      holder.release()
      await pool.query(`drop trigger limpet_dawdle on ${table}`)
      await pool.end()
    },
  }
}

/** Catches whoever takes a number of this sequence. Unlike a trigger it leaves every row as it is: free for others. */
export async function dawdleAtNumber(synapse: Synapse, sequence: string): Promise<Dawdle> {
  const pool = openPool({ url: synapse.databaseUrl, max: 2 })
  const holder = await holdTransaction(pool)
  await holder.query(`alter sequence ${sequence} no cycle`)
  return {
    caught: (count) => caught(pool, { lock: `relation = '${sequence}'::regclass`, count, at: sequence }),
    async release() {
      await holder.query('rollback')
      holder.release()
      await pool.end()
    },
  }
}

async function caught(
  pool: pg.Pool,
  { lock, count = 1, at }: { lock: string; count: number | undefined; at: string },
): Promise<void> {
  const waiting = `select 1 from pg_locks where ${lock} and not granted`
  await until(async () => ((await pool.query(waiting)).rowCount ?? 0) >= count, {
    withinMs: PATIENCE_MS,
    what: `${count} writes to ${at} to be caught`,
  })
}
