/** What a look does to what is apart (`src/deliver/beside.ts`), of rows as they may stand. */
import { expect } from 'chai'
import { lookBeside } from '../../src/deliver/beside.ts'
import { openPool, type Pool } from '../../src/store/db.ts'
import { registerWorker } from '../../src/store/delivery/leases.ts'
import { readUnlisted } from '../../src/store/delivery/sticky-lane.ts'
import { findOwed } from '../../src/store/delivery/wake-lists.ts'
import { NOTHING_LEARNED } from '../../src/store/isolation.ts'
import { loadDestination } from '../support/one.ts'
import { freshDatabase } from '../support/postgres.ts'

const WORKER = '00000000-0000-4000-8000-000000000001'
const LIMITS = { maxPdus: 50, maxBytes: 1_000_000 }

describe('a look at what is apart', () => {
  let pool: Pool
  let lapsed: number
  beforeEach(async () => {
    lapsed = 0
    pool = openPool({ url: (await freshDatabase()).url, max: 3 })
    await registerWorker(pool, { id: WORKER, name: 'w', leaseMs: 3_600_000 })
    await pool.query(`insert into rooms (room_id, head) values ('!one', 9000), ('!two', 9000)`)
    await pool.query(
      `insert into destinations (name, position, created_at, lease_owner, fence, isolation) values ('b.example', 9000, 0, $1, 1, $2)`,
      [WORKER, JSON.stringify({ ...NOTHING_LEARNED, apart: true })],
    )
    await pool.query('update stream set head = 9000')
  })
  afterEach(() => pool.end())

  const held = { worker: WORKER, destination: 1, fence: 1 }
  const load = async () => (await loadDestination(pool, held))!
  const look = async (state: Awaited<ReturnType<typeof load>>) => {
    const needs = { pool, log: { info: () => undefined }, onLapsed: (count: number) => (lapsed += count) }
    return lookBeside(needs, { held, state }, LIMITS)
  }
  const event = (pos: number, room: number) =>
    pool.query(
      `insert into events (pos, room, event_id, sender, pdu, received_ts) values ($1, $2, 'e' || $1::bigint, '@a:b', '{}', 0)`,
      [pos, room],
    )
  const count = async (table: string) => (await pool.query(`select from ${table}`)).rowCount

  it('ends a replay that has lapsed, unless somebody else holds the destination by now', async () => {
    await event(5, 1)
    await pool.query(`insert into apart (destination, pos, room, lane, since) values (1, 5, 1, 's', 0)`)
    const state = await load()
    await pool.query('update destinations set fence = 2')
    await look(state)
    expect([await count('apart'), lapsed]).to.deep.equal([1, 0])
    await pool.query('update destinations set fence = 1')
    await look(state)
    expect([await count('apart'), lapsed]).to.deep.equal([0, 1])
  })
  /** More than a look reads: all of room 2. */
  const many = async (grp: string, nextAt: string) => {
    await pool.query(
      `with e as (insert into events (pos, room, event_id, sender, pdu, received_ts)
                  select i, 2, 'e' || i, '@a:b', '{}', 0 from generate_series(1001, 2100) i)
       insert into apart (destination, pos, room, lane, grp, since, next_at)
       select 1, i, 2, 't', ${grp}, 0, ${nextAt} from generate_series(1001, 2100) i`,
    )
  }

  it('keeps and tries a room that is held, though more than it reads at once is set aside beside it', async () => {
    await many('null', 'now_ms() + 3600000')
    for (const pos of [5, 6, 7]) {
      await event(pos, 1)
      await pool.query(`insert into apart (destination, pos, room, lane, since) values (1, $1, 1, 't', 0)`, [
        pos,
      ])
    }
    await pool.query(
      `insert into waiting_rooms (destination, room, cursor, held_since, next_at) values (1, 1, 8000, 0, 1)`,
    )
    const { first } = await look(await load())
    expect(await count('waiting_rooms')).to.equal(1)
    expect(first?.rows.map(({ pos }) => pos)).to.deep.equal([5, 6, 7])
  })

  it('lets a room go on behind all halves, though they are more than it reads at once', async () => {
    await many('(i - 1001) / 50 + 1', 'null')
    await pool.query('insert into memberships (room, destination, since) values (1, 1, 0)')
    await event(8500, 1)
    await pool.query(
      'insert into waiting_rooms (destination, room, cursor) values (1, 1, 8000), (1, 2, 9000)',
    )
    await look(await load())
    const { rows } = await pool.query('select grp from apart where pos = 8500')
    expect(rows).to.deep.equal([{ grp: 23 }])
    expect(await count('waiting_rooms')).to.equal(2)
  })

  describe('a sticky event that was not listed, and is due again', () => {
    beforeEach(async () => {
      await event(5, 1)
      await pool.query('insert into memberships (room, destination, since) values (1, 1, 0)')
      await pool.query('insert into sticky (pos, room, expires_at) values (5, 1, now_ms() + 3600000)')
      await pool.query(
        `insert into replays (destination, pos, state, next_at, expires_at, at) values (1, 5, 'unlisted', 1, 0, 0)`,
      )
    })
    const seen = async () => [(await load()).unlistedAt, await findOwed(pool)]

    it('asks for no look while it is apart: no look would send it', async () => {
      expect(await seen()).to.deep.equal([1, [1]])
      await pool.query(`insert into apart (destination, pos, room, lane, since) values (1, 5, 1, 's', 0)`)
      expect(await seen()).to.deep.equal([null, []])
    })

    it('goes again while its room waits: it has a deadline, and replays wait for nobody', async () => {
      await pool.query('insert into waiting_rooms (destination, room, cursor) values (1, 1, 9000)')
      expect(await seen()).to.deep.equal([1, [1]])
      const { pdus } = await readUnlisted(pool, 1, (await load()).now, { rows: 10, bytes: 1_000 })
      expect(pdus.map(({ pos }) => pos)).to.deep.equal([5])
    })
  })
})
