/** The fanout's cursor, when the database fails over to a state that knows less than a process remembers. */
import { expect } from 'chai'
import { makeFanout } from '../../src/deliver/fanout.ts'
import { openPool, type Pool } from '../../src/store/db.ts'
import { freshDatabase } from '../support/postgres.ts'

describe('the fanout after a failover to an older state', () => {
  let pool: Pool
  let woken: string[]
  let meanwhile: () => Promise<unknown>
  const stopping = new AbortController()
  beforeEach(async () => {
    pool = openPool({ url: (await freshDatabase()).url, max: 2 })
    woken = []
    meanwhile = () => Promise.resolve()
    await pool.query(
      `insert into destinations (id, name, position, created_at) values (1, 'one.example', 0, 0)`,
    )
    await pool.query('insert into memberships (room, destination, since) values (1, 1, 0)')
  })
  afterEach(() => pool.end())

  const events = async (from: number, to: number) => {
    await pool.query(
      `insert into events (pos, room, event_id, sender, pdu, received_ts)
       select pos, 1, 'e' || pos, '@a:b', '{}', 0 from generate_series($1::int, $2::int) pos`,
      [from, to],
    )
    await pool.query('update stream set head = $1', [to])
  }
  const fanout = () =>
    makeFanout({
      pool,
      wake: async (who) => {
        woken.push(...who.map(({ name }) => name))
        await meanwhile()
      },
    })(stopping.signal)
  const cursor = async () =>
    (await pool.query<{ pos: number }>(`select pos from cursors where name = 'fanout'`)).rows[0]?.pos
  /** Up to 5 is left, and the cursor is where it was then. */
  const failOver = async () => {
    await pool.query('delete from events where pos > 5')
    await pool.query('update stream set head = 5')
    await pool.query(`update cursors set pos = 5 where name = 'fanout'`)
  }

  it('is not moved beyond the head by a process that looked before', async () => {
    await events(1, 5)
    await fanout()
    await events(6, 10)
    meanwhile = failOver
    await fanout()
    expect(await cursor()).to.equal(5)
    meanwhile = () => Promise.resolve()
    woken = []
    await events(6, 7)
    await fanout()
    expect(woken, 'what comes then').to.deep.equal(['one.example'])
    expect(await cursor()).to.equal(7)
  })

  it('comes back to the head when it is beyond it', async () => {
    await events(1, 5)
    await pool.query(`update cursors set pos = 10 where name = 'fanout'`)
    await fanout()
    expect(await cursor()).to.equal(5)
    await events(6, 6)
    await fanout()
    expect(woken).to.deep.equal(['one.example'])
  })
})
