/** What a new sticky event costs in a room of which thousands of members fail, and who of them is looked at sooner. */
import { expect } from 'chai'
import { bringForward } from '../../../src/deliver/wake/sooner.ts'
import { whenToTry } from '../../../src/deliver/when.ts'
import { openPool, type Pool } from '../../../src/store/db.ts'
import { readSoonestLapse } from '../../../src/store/delivery/soonest-lapse.ts'
import { loadDestination } from '../../support/one.ts'
import { freshDatabase } from '../../support/postgres.ts'

const MINUTE = 60_000
const HOUR = 3_600_000
const FAILING = 2_500
const HEALTHY = 2_500
const WORKER = '00000000-0000-4000-8000-000000000001'
const DEADLINE = { deadline_retries: true, deadline_retry_min_ms: 30_000, long_outage_ms: HOUR }
const BACKOFF = { first_ms: 5_000, multiplier: 2, max_ms: 8 * HOUR, jitter: 0, dead_after_ms: 30 * 24 * HOUR }

describe('a new sticky event for thousands that fail', () => {
  let pool: Pool
  let head: number
  beforeEach(async () => {
    pool = openPool({ url: (await freshDatabase()).url, max: 3 })
    head = 0
    await pool.query(`insert into workers (id, name, lease_until) values ($1, 'w', now_ms() + ${HOUR})`, [
      WORKER,
    ])
    await pool.query(`insert into rooms (room_id, head) values ('!one', 0), ('!two', 0)`)
    await pool.query(
      `insert into destinations (name, position, created_at, failures, failing_since, tried_at, retry_at, retry_interval, look_at)
       select 'd' || i, 0, 0, case when i <= $1 then 9 else 0 end, case when i <= $1 then now_ms() - 600000 end,
              case when i <= $1 then now_ms() - 300000 end, case when i <= $1 then now_ms() + ${HOUR} end, ${HOUR},
              case when i <= $1 then now_ms() + ${HOUR} end
         from generate_series(1, $2::int) i`,
      [FAILING, FAILING + HEALTHY],
    )
    await pool.query('insert into memberships (room, destination, since) select 1, id, 0 from destinations')
    await pool.query('vacuum analyze')
  })
  afterEach(() => pool.end())

  /** Of room 1, where no other is named. */
  const sticky = async (ms: number, room = 1) => {
    head += 1
    await pool.query(
      `with e as (
         insert into events (pos, room, event_id, sender, pdu, received_ts, sticky_until)
         values ($1::bigint, $2, 'e' || $1::bigint, '@a:b', '{}', now_ms(), now_ms() + $3::bigint))
       insert into sticky (pos, room, expires_at) values ($1, $2, now_ms() + $3)`,
      [head, room, ms],
    )
    await pool.query('update stream set head = $1', [head])
  }
  const sooner = () => bringForward(pool, { after: head - 1, upto: head }, DEADLINE)
  const counted = async (what: string) =>
    (await pool.query<{ n: number }>(`select count(*)::int as n from destinations where ${what}`)).rows[0]!.n
  /** The names of the statements that this asks of `pool`. */
  const asked = async (work: () => Promise<unknown>) => {
    const ran: string[] = []
    const query = pool.query.bind(pool)
    const spied = Object.assign(Object.create(pool) as Pool, {
      query: (text: string, values?: unknown[]) => {
        ran.push(/\/\* (.*?) \*\//.exec(text)?.[1] ?? text)
        return query(text, values)
      },
    })
    const real = pool
    pool = spied
    await work().finally(() => (pool = real))
    return ran
  }

  it('brings the look at each of them forward, and at nobody else', async () => {
    await sticky(5 * MINUTE)
    await sooner()
    expect(await counted('look_at <= now_ms() and deadline_at = look_at and wake_seq = 1')).to.equal(FAILING)
    expect(await counted('wake_seq > 0')).to.equal(FAILING)
  })

  it('only reads them where a try is planned already', async () => {
    await pool.query('update destinations set tried_at = now_ms() where failing_since is not null')
    await sticky(5 * MINUTE)
    await sooner()
    expect(await counted('look_at between now_ms() + 20000 and now_ms() + 30000')).to.equal(FAILING)
    await sticky(5 * MINUTE)
    expect(await asked(sooner)).to.deep.equal(['who fails and is owed new sticky events'])
    expect(await counted('wake_seq = 1')).to.equal(FAILING)
  })

  it('leaves alone who is paused, held, has failed for long, or was tried eight times within the hour', async () => {
    const set = (what: string, n: number) => pool.query(`update destinations set ${what} where id = ${n}`)
    await set('paused = true', 1)
    await set(`hold_kind = 'retry_after', hold_until = now_ms() + ${HOUR}`, 2)
    await set(`failing_since = now_ms() - ${2 * HOUR}`, 3)
    await set(`deadline_tries = array(select now_ms() - 1000 * i from generate_series(8, 1, -1) i)`, 4)
    await sticky(5 * MINUTE)
    await sooner()
    expect(await counted('id <= 5 and wake_seq > 0')).to.equal(1)
  })

  it('is looked at at once by one whose backoff was over, and who was owed nothing', async () => {
    const over = 'failing_since is not null and id <= 3'
    await pool.query(`update destinations set retry_at = now_ms() - 1000, look_at = null where ${over}`)
    await sticky(5 * MINUTE)
    await sooner()
    expect(await counted(`${over} and look_at <= now_ms() and wake_seq = 1`)).to.equal(3)
  })

  it('costs next to nothing where it is not sticky, or its room has none of them', async () => {
    await sticky(5 * MINUTE, 2)
    expect(await asked(sooner)).to.have.length(1)
    head += 1
    expect(await asked(sooner)).to.have.length(1)
    expect(await counted('wake_seq > 0')).to.equal(0)
  })

  describe('a look at one of them', () => {
    const look = async (id: number) => {
      await pool.query('update destinations set lease_owner = $1, fence = 1 where id = $2', [WORKER, id])
      const state = (await loadDestination(pool, { worker: WORKER, destination: id, fence: 1 }))!
      return {
        state,
        ask: () => asked(() => whenToTry({ pool, backoff: BACKOFF, deadline: DEADLINE }, state)),
      }
    }

    it('asks what is sticky only where that may bring a try forward', async () => {
      const asks = async (id: number, set = 'paused = false') => {
        await pool.query(`update destinations set ${set} where id = ${id}`)
        return (await (await look(id)).ask()).length
      }
      expect(await asks(1), 'its next attempt is far').to.equal(1)
      expect(await asks(2, 'retry_at = now_ms() + 20000, tried_at = now_ms()'), 'is near').to.equal(0)
      expect(await asks(3, `failing_since = now_ms() - ${HOUR}`), 'failing for long').to.equal(0)
      expect(await asks(4, `hold_kind = 'gone', hold_until = now_ms() + ${2 * HOUR}`), 'gone').to.equal(0)
      expect(await asks(5, 'retry_at = now_ms()'), 'due').to.equal(0)
      expect(await asks(FAILING + 1), 'healthy').to.equal(0)
    })

    it('knows the soonest lapse of what it is owed, and of nothing else', async () => {
      await sticky(9 * MINUTE)
      await sticky(5 * MINUTE)
      await sticky(MINUTE, 2)
      const { state } = await look(1)
      const soonest = async () => {
        const found = await readSoonestLapse(pool, state)
        return found && Math.round((found.lapsesAt - state.now) / MINUTE)
      }
      expect(await soonest()).to.equal(5)
      await pool.query(
        `insert into replays (destination, pos, state, expires_at, at) values (1, 2, 'sent', 0, 0)`,
      )
      expect(await soonest(), 'it has that already').to.equal(9)
      await pool.query(`update replays set state = 'unlisted'`)
      expect(await soonest(), 'and did not list it').to.equal(5)
      await pool.query(`delete from replays`)
      await pool.query(
        `with r as (insert into recipients (hash, exact, list, less, head) values ('h', false, '{}', '{1}', 2) returning id)
         update events set recipients = r.id from r where pos = 2`,
      )
      expect(await soonest(), 'it is not for it').to.equal(9)
      await pool.query('update sticky set expires_at = now_ms() where pos = 1')
      expect(await soonest(), 'all else has lapsed').to.equal(null)
      await pool.query('insert into memberships (room, destination, since) values (2, 1, 3)')
      expect(await soonest(), 'it came before it joined').to.equal(null)
      await pool.query(
        `insert into sticky_owed (destination, room, after_pos, upto, cursor, created_at) values (1, 2, 0, 3, 0, 0)`,
      )
      expect(await soonest(), 'and the join owes it').to.equal(1)
      await pool.query('update memberships set until = 4 where room = 2 and destination = 1')
      expect(await soonest(), 'it has left').to.equal(null)
    })

    it('knows what is apart, and what a room that waits has not come to', async () => {
      await sticky(9 * MINUTE)
      await sticky(5 * MINUTE)
      await pool.query('update destinations set position = 2 where id = 1')
      const { state } = await look(1)
      const soonest = async () => {
        const found = await readSoonestLapse(pool, state)
        return found && Math.round((found.lapsesAt - state.now) / MINUTE)
      }
      expect(await soonest(), 'the lanes are past it').to.equal(null)
      await pool.query(`insert into apart (destination, pos, room, lane, since) values (1, 1, 1, 't', 0)`)
      expect(await soonest(), 'it is apart').to.equal(9)
      await pool.query('insert into waiting_rooms (destination, room, cursor) values (1, 1, 1)')
      expect(await soonest(), 'its room waits').to.equal(5)
      await pool.query('update waiting_rooms set cursor = 2')
      expect(await soonest(), 'and has come to it').to.equal(9)
    })
  })
})
