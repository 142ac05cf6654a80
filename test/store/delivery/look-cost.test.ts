/** What a look at a destination reads, in pages: little, however far behind it is and whatever the tables held when plans were made. */
import { expect } from 'chai'
import type pg from 'pg'
import { openPool, type Pool } from '../../../src/store/db.ts'
import { gapPositions, readGapRooms } from '../../../src/store/delivery/gap-rooms.ts'
import { openGap } from '../../../src/store/delivery/gaps.ts'
import { readOwedSticky } from '../../../src/store/delivery/sticky-lane.ts'
import { countTimeline, readTimeline } from '../../../src/store/delivery/timeline.ts'
import { costed, sumOf, type CostedDb } from '../../support/plans.ts'
import { until } from '../../support/poll.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { loadDestination } from '../../support/one.ts'

const WORKER = '00000000-0000-4000-8000-000000000001'
const HELD = { worker: WORKER, destination: 1, fence: 1 }
/** As many for each destination as in the benchmark, which has a million events. */
const [ROOMS, MINE, EVENTS] = [1_000, 30, 60_000]
const MOST = 500

describe('a look at a destination', () => {
  let url: string
  let pool: Pool
  let client: pg.PoolClient
  let db: CostedDb
  beforeEach(async () => {
    url = (await freshDatabase()).url
    pool = openPool({ url, max: 2 })
    await pool.query(`insert into workers (id, name, lease_until) values ($1, 'w', now_ms() + 3600000)`, [
      WORKER,
    ])
    await pool.query(
      `insert into destinations (name, position, created_at, lease_owner, fence)
       select 'd' || i, 0, 0, case when i = 1 then $1::uuid end, 1 from generate_series(1, 1000) i`,
      [WORKER],
    )
    client = await pool.connect()
    db = costed(client)
  })
  afterEach(async () => {
    client.release()
    await pool.end()
  })

  const fill = async () => {
    await pool.query(
      `insert into rooms (room_id, head) select '!r' || i, ${EVENTS} from generate_series(1, ${ROOMS}) i`,
    )
    await pool.query(
      `insert into memberships (room, destination, since)
       select 1 + (d * 37 + n * 31) % ${ROOMS}, d, 0 from generate_series(1, 1000) d, generate_series(1, ${MINE}) n`,
    )
    await pool.query(
      `insert into events (pos, room, event_id, sender, pdu, received_ts)
       select i, 1 + i % ${ROOMS}, 'e' || i, '@a:b', repeat('x', 800), i from generate_series(1, ${EVENTS}) i`,
    )
    await pool.query('update stream set head = $1', [EVENTS])
  }

  /** While PostgreSQL's own vacuum looks at the database, ours does not mark all pages: each row is then read in its page too. */
  const vacuumed = async () => {
    await pool.query('vacuum analyze')
    const { rows } = await pool.query<{ hidden: boolean }>(
      `select bool_or(relallvisible < relpages) as hidden from pg_class c join pg_inherits i on i.inhrelid = c.oid
        where i.inhparent = 'events'::regclass`,
    )
    return rows[0]?.hidden === false
  }

  it(`that is far behind reads fewer than ${MOST} pages: what it is owed, whether that is a gap, and what of it goes next`, async () => {
    await fill()
    await until(vacuumed, { what: 'the vacuum to see that all of the log is visible to everybody' })
    const range = { after: 0, upto: EVENTS }
    await loadDestination(db, HELD)
    expect(await countTimeline(db, 1, range, 1)).to.equal(1)
    expect(sumOf(db.costs()).blocks, 'whether it is owed anything').to.be.below(MOST)

    await loadDestination(db, HELD)
    const [oldest] = (await readTimeline(db, 1, range, { rows: 1, bytes: 0 })).pdus
    expect(oldest?.pos).to.be.below(EVENTS / 10)
    expect(await countTimeline(db, 1, range, 501)).to.equal(501)
    expect(await openGap(db, HELD, { from: 0, to: EVENTS })).to.equal(0)
    expect(sumOf(db.costs()).blocks, 'whether a gap is opened').to.be.below(MOST)

    const { gap } = (await loadDestination(db, HELD))!
    expect(await gapPositions(db, 1, gap!, 1)).to.have.length(1)
    await readOwedSticky(db, 1, 0, { rows: 51, bytes: 4_000_000 })
    await readGapRooms(db, 1, gap!, { rows: 2, bytes: 4_000_000 })
    expect(sumOf(db.costs()).blocks, 'what goes next').to.be.below(MOST)
  })

  it('is planned anew when tables that were empty have filled', async () => {
    // Its analyze would have plans made anew as well, a minute later.
    await pool.query('alter table open_transactions set (autovacuum_enabled = false)')
    const asked = openPool({ url, max: 1, replanMs: 0 })
    const look = () => loadDestination(asked, HELD)
    await pool.query('vacuum analyze')
    for (let n = 0; n < 7; n += 1) await look()
    await pool.query(
      `insert into open_transactions (destination, txn_id, origin_server_ts, bytes, created_at, started_at, worker, positions, lanes, from_pos, to_pos)
       select d, repeat('t', 800), 0, 5000, 0, 0, $1, '{1,2,3,4}', 'tttt', 0, 4 from generate_series(2, 1000) d`,
      [WORKER],
    )
    await look()
    const { rows: names } = await asked.query<{ name: string }>(
      `select name from pg_prepared_statements where name like 'look at the destination%'`,
    )
    const { rows } = await asked.query<{ 'QUERY PLAN': string }>(
      `explain execute "${names[0]!.name}" (array[1], array['${WORKER}']::uuid[], array[1], 1)`,
    )
    await asked.end()
    const plan = rows.map((row) => row['QUERY PLAN']).join('\n')
    expect(plan).to.match(/Index Scan using open_transactions_pkey/)
    expect(plan).not.to.match(/Seq Scan on open_transactions/)
  })

  it('reads none of the joins of others', async () => {
    await pool.query(
      `insert into sticky_owed (destination, room, after_pos, upto, cursor, created_at)
       select d, n, 0, 9, 0, 0 from generate_series(1, 1000) d, generate_series(1, 9) n`,
    )
    await pool.query('vacuum analyze')
    const { owed } = (await loadDestination(db, HELD))!
    expect(owed).to.have.length(9)
    expect(sumOf(db.costs()).blocks).to.be.below(50)
  })
})
