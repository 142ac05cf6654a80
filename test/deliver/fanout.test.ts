/** The fanout: its cursor when the database fails over to a state that knows less than a process remembers, and whom it wakes. */
import { expect } from 'chai'
import { systemClock, type Clock } from '../../src/pace/clock.ts'
import { makeFanout } from '../../src/deliver/wake/fanout.ts'
import { openPool, type Pool } from '../../src/store/db.ts'
import { nameIn } from '../../src/store/statement.ts'
import { freshDatabase } from '../support/postgres.ts'
import { takeDestination } from '../support/one.ts'

const DEADLINE = { deadline_retries: true, deadline_retry_min_ms: 30_000, long_outage_ms: 3_600_000 }

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
      clock: systemClock,
      deadline: DEADLINE,
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

describe('whom the fanout wakes', () => {
  let pool: Pool
  let jobs: string[][]
  let head = 0
  const { signal } = new AbortController()
  const WORKER = '00000000-0000-4000-8000-000000000001'
  beforeEach(async () => {
    pool = openPool({ url: (await freshDatabase()).url, max: 2 })
    jobs = []
    head = 0
    await pool.query(
      `insert into destinations (id, name, position, created_at, look_at, retry_at, failures) values
         (1, 'quiet.example', 0, 0, null, null, 0),
         (2, 'waits-for-its-turn.example', 0, 0, 0, null, 0),
         (3, 'fails.example', 0, 0, now_ms() + 60000, now_ms() + 60000, 1),
         (4, 'has-one-unlisted.example', 0, 0, now_ms() + 60000, null, 0),
         (5, 'is-served.example', 0, 0, 0, null, 0)`,
    )
    await pool.query('insert into memberships (room, destination, since) select 1, id, 0 from destinations')
    await pool.query(`insert into workers (id, name, lease_until) values ($1, 'w', now_ms() + 60000)`, [
      WORKER,
    ])
    await pool.query('update destinations set lease_owner = $1, fence = 1 where id = 5', [WORKER])
  })
  afterEach(() => pool.end())

  const event = async () => {
    head += 1
    await pool.query(
      `insert into events (pos, room, event_id, sender, pdu, received_ts) values ($1::bigint, 1, 'e' || $1::bigint, '@a:b', '{}', 0)`,
      [head],
    )
    await pool.query('update stream set head = $1', [head])
  }
  const makeOne = (clock: Clock = systemClock) =>
    makeFanout({
      pool,
      clock,
      deadline: DEADLINE,
      wake: (who) => Promise.resolve(void jobs.push(who.map(({ name }) => name))),
    })

  it('is nobody who fails, or whose time has come: these are brought back by it', async () => {
    const fanout = makeOne()
    await event()
    await fanout(signal)
    expect(jobs).to.have.length(1)
    expect(jobs[0]).to.have.members(['quiet.example', 'has-one-unlisted.example', 'is-served.example'])
  })

  it('asks who fails only where something new is sticky', async () => {
    const asked: (string | null)[] = []
    const spied = new Proxy(pool, {
      get: (it, key) =>
        key !== 'query'
          ? (Reflect.get(it, key) as unknown)
          : (text: string, values: unknown[]) => {
              asked.push(nameIn(text))
              return it.query(text, values)
            },
    })
    const wake = () => Promise.resolve()
    const fanout = makeFanout({ pool: spied, clock: systemClock, deadline: DEADLINE, wake })
    await event()
    await fanout(signal)
    const news = 'what is new to the fanout'
    expect(asked.splice(0)).to.deep.equal([news, 'whom do new items concern', 'move a cursor', news])
    await event()
    await pool.query('insert into sticky (pos, room, expires_at) values (2, 1, now_ms() + 60000)')
    await fanout(signal)
    expect(asked).to.include('who fails and is owed new sticky events')
  })

  it('is nobody whose job still waits, until it was taken; and everybody once more after ten seconds', async () => {
    let now = 0
    const fanout = makeOne({ ...systemClock, monotonic: () => now })
    for (let n = 0; n < 3; n += 1) {
      await event()
      await fanout(signal)
    }
    expect(jobs.slice(1), 'its turn may have looked for the last time').to.deep.equal([
      ['is-served.example'],
      ['is-served.example'],
    ])
    await takeDestination(pool, WORKER, 'quiet.example')
    await pool.query('update destinations set lease_owner = null where id = 1')
    await event()
    await fanout(signal)
    expect(jobs[3]).to.have.members(['quiet.example', 'is-served.example'])
    now = 10_001
    await event()
    await fanout(signal)
    expect(jobs[4]).to.have.members(jobs[0]!)
  })
})
