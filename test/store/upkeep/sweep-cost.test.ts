/** What a sweep costs grows with the rows that there are, not with one number times another. */
import { expect } from 'chai'
import type pg from 'pg'
import { countBacklogs } from '../../../src/store/upkeep/count-backlogs.ts'
import { openPool, type Pool } from '../../../src/store/db.ts'
import {
  findDue,
  findForgotten,
  findOwed,
  markMissed,
  findConcerned,
} from '../../../src/store/delivery/wake-lists.ts'
import { costed, sumOf, type CostedDb } from '../../support/plans.ts'
import { freshDatabase } from '../../support/postgres.ts'

/** Destinations, lists of recipients, and destinations in each list. */
const [D, R, L] = [300, 400, 20]
const HEAD = 1_000_000

describe('a sweep', () => {
  let pool: Pool
  let client: pg.PoolClient
  let db: CostedDb
  before(async () => {
    pool = openPool({ url: (await freshDatabase()).url, max: 2 })
    await pool.query('update stream set head = $1', [HEAD])
    await pool.query(
      `insert into destinations (name, position, created_at) select 'd' || i, $2, 0 from generate_series(1, $1::int) i`,
      [D, HEAD],
    )
    await pool.query(
      `insert into recipients (hash, exact, list, less, head)
       select 'h' || i, true, array(select 1 + (i * 7 + n * 13) % $2 from generate_series(1, $3::int) n), '{}', i
         from generate_series(1, $1::int) i`,
      [R, D, L],
    )
    await pool.query('analyze')
    client = await pool.connect()
    db = costed(client)
  })
  after(async () => {
    client.release()
    await pool.end()
  })

  const sweep = async () => {
    const owed = await findOwed(db)
    await markMissed(db, owed)
    await countBacklogs(db, owed)
    return { owed, rows: sumOf(db.costs()).rows }
  }

  it('reads no list where everybody is past it', async () => {
    const { owed, rows } = await sweep()
    expect(owed).to.deep.equal([])
    expect(rows).to.be.below(5 * (D + R))
  })

  it('goes through each list once where somebody is behind, not once for each destination', async () => {
    await pool.query('update destinations set position = 0 where id <= 10')
    const { owed, rows } = await sweep()
    expect(owed).to.have.length(10)
    expect(rows).to.be.below(5 * (D + R * L))
  })

  it('compares no destination with all that are behind', async () => {
    await pool.query('update destinations set position = 0, pending_pdus = 1, missed = 2, look_at = 0')
    const { owed, rows } = await sweep()
    expect(owed).to.have.length(D)
    expect(rows).to.be.below(40 * (D + R * L))
  })

  it('asks for the time once a statement, not once a destination; and so do the looks for whom to wake', async () => {
    await pool.query('update destinations set position = 0, missed = 0, look_at = 0')
    await pool.query(`insert into memberships (room, destination, since) select 1, id, 0 from destinations`)
    await pool.query(
      `insert into events (pos, room, event_id, sender, pdu, received_ts) values (1, 1, 'e', '@a:b', '', 0)`,
    )
    const asked = async (work: () => Promise<unknown>) => {
      await client.query('begin')
      await client.query(`set local track_functions = 'all'`)
      await work()
      const { rows } = await client.query<{ calls: string | null }>(
        `select pg_stat_get_xact_function_calls('now_ms()'::regprocedure) as calls`,
      )
      await client.query('rollback')
      return Number(rows[0]?.calls)
    }
    const owed = await findOwed(client)
    expect(await asked(() => findDue(client, 10)), 'due').to.be.within(1, 5)
    expect(await asked(() => markMissed(client, owed)), 'missed').to.be.within(1, 5)
    expect(await asked(() => findOwed(client)), 'owed').to.be.below(5)
    expect(await asked(() => findForgotten(client, 10)), 'forgotten').to.be.below(5)
    await pool.query('update destinations set look_at = null')
    expect(await asked(() => findConcerned(client, 0, 1)), 'new items').to.be.below(5)
  })
})
