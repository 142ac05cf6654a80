/** What a look does to what is apart (`src/deliver/beside.ts`), of rows as they may stand. */
import { expect } from 'chai'
import { lookBeside } from '../../src/deliver/beside.ts'
import { openPool, type Pool } from '../../src/store/db.ts'
import { registerWorker } from '../../src/store/delivery/leases.ts'
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
})
