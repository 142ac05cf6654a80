/** What a look reads of EDUs, in pages: little, however much waits for it and for others, and however many rooms it is in. */
import { expect } from 'chai'
import type pg from 'pg'
import { openPool, type Pool } from '../../../src/store/db.ts'
import {
  owesDurableEdus,
  owesEphemeralEdus,
  readDurableEdus,
  readEphemeralEdus,
} from '../../../src/store/delivery/edus.ts'
import { costed, sumOf, type CostedDb } from '../../support/plans.ts'
import { until } from '../../support/poll.ts'
import { freshDatabase } from '../../support/postgres.ts'

/** A day: half of each for the destination 1, half for others. */
const [EPHEMERAL, TO_DEVICE, DEVICE_LISTS] = [200_000, 10_000, 2_000]
const HEAD = EPHEMERAL + TO_DEVICE + DEVICE_LISTS
const OTHER_ROOMS = 1_000
const MOST = 500

describe('the EDUs of a day', () => {
  let pool: Pool
  let client: pg.PoolClient
  let db: CostedDb
  beforeEach(async () => {
    pool = openPool({ url: (await freshDatabase()).url, max: 2 })
    client = await pool.connect()
    db = costed(client)
  })
  afterEach(async () => {
    client.release()
    await pool.end()
  })

  /** The destination 1 is in the rooms up to `rooms`; the destination 2 in one where nothing happens but at the end. */
  const fill = async (rooms: number) => {
    await pool.query(
      `insert into memberships (room, destination, since)
       select n, 1, 0 from generate_series(1, ${rooms}) n
       union select ${rooms} + 1 + (d * 37 + n * 31) % ${OTHER_ROOMS}, d, 0 from generate_series(3, 1000) d, generate_series(1, 30) n
       union values (0, 2, 0::bigint)`,
    )
    // Odd ones are for others.
    await pool.query(
      `insert into edu_rooms (id, hash, rooms)
       select s, s, array(select case when s % 2 = 0 then 1 + (s * 7 + n) % ${rooms} else ${rooms} + 1 + (s * 7 + n) % ${OTHER_ROOMS} end
                            from generate_series(1, 10) n)
         from generate_series(1, 500) s`,
    )
    await pool.query(
      `insert into recipients (id, hash, exact, list, less, head, durable_head, edu_head)
       select l, l, true, case when l % 2 = 0 then '{1}'::int[] else '{}' end || case when l <= 2 then '{}'::int[] else
                            array(select 3 + (l * 11 + n) % 990 from generate_series(1, 50) n) end, '{}', 0, ${HEAD}, ${HEAD}
         from generate_series(1, 60) l`,
    )
    await pool.query(
      `insert into edus (pos, type, content, received_ts, expires_at, durable, room, rooms, recipients)
       select pos, kind, repeat('x', case when kind = 'm.direct_to_device' then 900 else 200 end), pos,
              case when kind = 'm.typing' then pos + 60000 end, kind <> 'm.typing',
              case when kind <> 'm.direct_to_device' and audience < 7 then case when mine then 1 + n % ${rooms} else ${rooms} + 1 + n % ${OTHER_ROOMS} end end,
              case when kind <> 'm.direct_to_device' and audience in (7, 8) then 1 + (n % 250) * 2 - mine::int + 1 end,
              case when kind = 'm.direct_to_device' then 2 - (not mine)::int
                   when audience = 9 then 3 + (n % 29) * 2 + mine::int end
         from (select pos, case when pos % 106 < 100 then 'm.typing' when pos % 106 < 105 then 'm.direct_to_device' else 'm.device_list_update' end as kind,
                      (pos / 106 + pos) % 2 = 0 as mine, ((pos::bigint * 7919) % 100003)::int as n, (((pos::bigint * 104729) % 1000003) % 10)::int as audience
                 from generate_series(1, ${HEAD}) pos) e`,
    )
    await pool.query(
      `insert into edus (pos, type, content, received_ts, durable, room) values (${HEAD + 1}, 'm.typing', '{}', 1, false, 0)`,
    )
    await until(vacuumed, { what: 'the vacuum to see that all rows are visible to everybody' })
  }
  const vacuumed = async () => {
    await pool.query('vacuum analyze')
    const { rows } = await pool.query<{ hidden: boolean }>(
      `select bool_or(relallvisible < relpages) as hidden from pg_class where relname in ('edus', 'memberships')`,
    )
    return rows[0]?.hidden === false
  }

  const range = { after: 0, upto: HEAD + 1 }
  const most = { rows: 1_000, bytes: 2_000_000 }
  /** Since the last call. */
  const blocks = (what: string): number => {
    const costs = db.costs()
    const sum = sumOf(costs).blocks
    expect(
      sum,
      `${what}: ${costs.map(({ name, blocks: each }) => `${name} ${each}`).join(', ')}`,
    ).to.be.below(MOST)
    return sum
  }

  it(`of which many came together are passed at once, in fewer than ${MOST} pages`, async () => {
    await pool.query(
      `insert into edus (pos, type, content, received_ts, durable, room)
       select pos, 'm.device_list_update', repeat('x', 400), pos, true, 7 from generate_series(1, 2000) pos`,
    )
    await pool.query(`insert into memberships (room, destination, since) values (0, 2, 0)`)
    await until(vacuumed, { what: 'the vacuum to see that all rows are visible to everybody' })
    const read = await readDurableEdus(db, 2, { after: 0, upto: 2_000 }, most)
    expect(read).to.deep.equal({ edus: [], upto: 2_000 })
    blocks('who is owed nothing of them')
  })

  for (const rooms of [30, 2_000]) {
    it(`are looked at in fewer than ${MOST} pages (${rooms} rooms)`, async () => {
      await fill(rooms)
      expect(await owesDurableEdus(db, 1, range)).to.equal(true)
      expect(await owesEphemeralEdus(db, 1, range)).to.equal(true)
      const durable = await readDurableEdus(db, 1, range, { rows: 101, bytes: 2_000_000 })
      expect(durable.edus).to.have.length(101)
      const first = blocks('of those who were away for so long that the others are not read')
      const ephemeral = await readEphemeralEdus(db, 1, range, most)
      expect(ephemeral.edus.length).to.be.above(900)
      const second = blocks('the others')
      // Each of its memberships is on a page of its own, and both lanes ask for them.
      if (rooms < 100) expect(first + second).to.be.below(MOST)

      const sparse = await readEphemeralEdus(db, 2, range, most)
      expect(sparse.upto).to.be.above(5_000)
      blocks('who is owed one at the end of the day')
      expect(await owesDurableEdus(db, 2, range), 'too much of others to be certain').to.equal(true)
      const nothing = await readDurableEdus(db, 2, range, most)
      expect(nothing.edus).to.deep.equal([])
      expect(nothing.upto).to.be.above(30_000)
      blocks('who is owed nothing')
    })
  }

  it(`of few sets of rooms are looked at in fewer than ${MOST} pages, before the tables have statistics`, async () => {
    await pool.query(
      'insert into memberships (room, destination, since) select n, 1, 0 from generate_series(1, 5) n',
    )
    // Other sets are there, of which nothing is said.
    await pool.query(
      `insert into edu_rooms (id, hash, rooms) select s, s, array[s % 5 + 1, s + 10] from generate_series(1, 300) s`,
    )
    await pool.query(
      `insert into edus (pos, type, content, received_ts, expires_at, durable, rooms)
       select pos, 'm.presence', repeat('x', 150), pos, pos + 600000, false, 1 + pos % 2 from generate_series(1, 10000) pos`,
    )
    const ephemeral = await readEphemeralEdus(db, 1, { after: 0, upto: 10_000 }, most)
    expect(ephemeral.edus).to.have.length(1_000)
    blocks('a window of two sets')
    await readDurableEdus(db, 1, { after: 0, upto: 10_000 }, most)
    blocks('a window without durable ones')
  })
})
