/** A database of its own in which one worker holds destinations, `1.example` and so on, all with fence 1, and one connection to it. */
import type pg from 'pg'
import { openPool } from '../../src/store/db.ts'
import { freshDatabase } from './postgres.ts'

export const WORKER = '00000000-0000-4000-8000-000000000001'

export interface HeldDestinations {
  client: pg.PoolClient
  end(): Promise<void>
}

/** What PostgreSQL knows of the tables is from before the worker held any; `analyzed: false`: it knows nothing yet. */
export async function holdMany(count: number, { analyzed = true } = {}): Promise<HeldDestinations> {
  const pool = openPool({ url: (await freshDatabase()).url, max: 1 })
  await pool.query(`insert into workers (id, name, lease_until) values ($1, 'w', now_ms() + 3600000)`, [
    WORKER,
  ])
  await pool.query(
    `insert into destinations (id, name, position, created_at)
     select i, i || '.example', 0, 0 from generate_series(1, ${count}) i`,
  )
  if (analyzed) await pool.query('vacuum analyze')
  await pool.query('update destinations set lease_owner = $1, fence = 1', [WORKER])
  const client = await pool.connect()
  return {
    client,
    async end() {
      client.release()
      await pool.end()
    },
  }
}
