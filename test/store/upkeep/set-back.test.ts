/** A clock that was set back makes no wait of an hour out of one of seconds, however long the wait was meant to be. */
import { expect } from 'chai'
import { makeLog } from '../../../src/observe/log.ts'
import { systemClock } from '../../../src/pace/clock.ts'
import { makeSweep } from '../../../src/deliver/wake/sweep.ts'
import type { Db } from '../../../src/store/db.ts'
import { followClockBack } from '../../../src/store/upkeep/set-back.ts'
import { HOUR } from '../../ingest/ingest-world.ts'
import { DAY, makeRetentionWorld, type RetentionWorld } from './retention-world.ts'
import { nameIn } from '../../../src/store/statement.ts'

const SECOND = 1_000
const MINUTE = 60_000
/** Less than the longest lease that is not cut anyway. */
const BACK = 50 * MINUTE
/** What is read takes a moment, and a jump is known to a moment. */
const NEAR_MS = 5_000
const WORKER = '00000000-0000-4000-8000-000000000001'

/** What is left of each wait, ms, under a rule that could have made it much longer. */
const LEFT = {
  retry_at: 10 * SECOND,
  hold_until: 20 * SECOND,
  advice_at: 30 * SECOND,
  advice_after: 40 * SECOND,
  look_at: 10 * SECOND,
  next_at: 50 * SECOND,
  lease_until: 90 * SECOND,
}
type Left = Record<keyof typeof LEFT, number>

describe('a clock that was set back', () => {
  let world: RetentionWorld
  beforeEach(async () => {
    world = await makeRetentionWorld()
    await world.rows(
      `insert into destinations (id, name, position, created_at, failures, retry_interval, hold_kind, advice_step,
                                 retry_at, hold_until, advice_at, advice_after, look_at)
       select 1, 'failing.example', 0, 0, 9, ${2 * HOUR}, 'retry_after', ${HOUR},
              now + $1::bigint, now + $2::bigint, now + $3::bigint, now + $4::bigint, now + $5::bigint from (select now_ms() as now) n`,
      [LEFT.retry_at, LEFT.hold_until, LEFT.advice_at, LEFT.advice_after, LEFT.look_at],
    )
    await world.rows(
      `insert into destinations (id, name, position, created_at, look_at, retry_at) values (2, 'due.example', 0, 0, 7, 5)`,
    )
    await world.rows(
      `insert into replays (destination, pos, state, next_at, expires_at, at)
       values (1, 1, 'unlisted', now_ms() + $1, now_ms() + ${DAY}, 0)`,
      [LEFT.next_at],
    )
    await world.rows('insert into workers (id, name, lease_until) values ($1, $3, now_ms() + $2)', [
      ...[WORKER, LEFT.lease_until, 'w'],
    ])
  })
  afterEach(() => world.close())

  const sweep = () =>
    makeSweep({
      pool: world.pool,
      clock: systemClock,
      vetDomain: null,
      ...{ nudgeFanout: () => Promise.resolve(), onLapsed: () => undefined },
      ...{ backoff: { first_ms: 5_000, max_ms: 8 * HOUR, multiplier: 2, jitter: 0.2 }, attemptsMs: 30 * DAY },
      log: makeLog({ level: 'silent', pretty: false }),
    })()
  async function left(): Promise<Left> {
    const [row] = await world.rows<Left & { now: number }>(
      `select now_ms() as now, d.retry_at, d.hold_until, d.advice_at, d.advice_after, d.look_at, p.next_at, w.lease_until
         from destinations d, replays p, workers w where d.id = 1`,
    )
    if (row === undefined) throw new Error('nothing is left')
    const { now, ...times } = row
    return Object.fromEntries(Object.entries(times).map(([name, at]) => [name, at - now])) as Left
  }
  const near = (what: Left, than: Left) => {
    for (const name of Object.keys(LEFT) as (keyof Left)[])
      expect(what[name], name).to.be.within(than[name] - NEAR_MS, than[name] + NEAR_MS)
  }

  for (const column of Object.keys(LEFT) as (keyof Left)[]) {
    it(`leaves what is left of ${column} as it was`, async () => {
      await sweep()
      await world.later(-BACK)
      await sweep()
      expect((await left())[column]).to.be.within(LEFT[column] - NEAR_MS, LEFT[column] + NEAR_MS)
    })
  }

  it('moves nothing twice, and nothing that was due', async () => {
    await sweep()
    await world.later(-BACK)
    for (let turn = 0; turn < 3; turn += 1) await sweep()
    near(await left(), LEFT)
    expect(await world.rows('select look_at, retry_at from destinations where id = 2')).to.deep.equal([
      { look_at: 7, retry_at: 5 },
    ])
    await world.later(-BACK)
    await sweep()
    near(await left(), LEFT)
  })

  it('moves everything or nothing: a sweep that broke off is made up for by the next', async () => {
    await sweep()
    await world.later(-BACK)
    const client = await world.pool.connect()
    const broken = {
      query: (text: string, values?: unknown[]) =>
        nameIn(text) === 'put leases back'
          ? Promise.reject(new Error('broke off'))
          : client.query(text, values),
    } as unknown as Db
    const error = await followClockBack(broken).catch((thrown: unknown) => thrown)
    client.release()
    expect(String(error)).to.include('broke off')
    expect((await left()).retry_at).to.be.above(BACK)
    await sweep()
    near(await left(), LEFT)
  })

  it('moves nothing where the clock goes as it should, is put forward, or is a little off', async () => {
    const rows = () =>
      world.rows(
        'select d.*, p.next_at, w.lease_until from destinations d, replays p, workers w where d.id = 1',
      )
    const before = await rows()
    await sweep()
    await sweep()
    await world.later(-30 * SECOND)
    await sweep()
    await world.later(31 * SECOND)
    await sweep()
    expect(await rows()).to.deep.equal(before)
  })

  it('makes waits neither longer nor shorter that began while it was ahead', async () => {
    await world.rows('delete from replays')
    await world.later(26 * HOUR)
    await sweep()
    await world.rows('update destinations set retry_at = now_ms() + 60000 where id = 1')
    await world.later(-26 * HOUR)
    await sweep()
    const wait = await world.value('select retry_at - now_ms() from destinations where id = 1')
    expect(wait).to.be.within(MINUTE - NEAR_MS, MINUTE + NEAR_MS)
  })

  it('takes no lease from a worker that lives, and has renewed it since', async () => {
    await sweep()
    await world.later(-BACK)
    await world.rows('update workers set lease_until = now_ms() + 15000')
    await sweep()
    expect((await left()).lease_until).to.be.within(15 * SECOND - NEAR_MS, 15 * SECOND)
    await world.later(-BACK)
    await world.rows('update workers set lease_until = now_ms() + 40000')
    await sweep()
    expect((await left()).lease_until, 'a longer one').to.be.within(30 * SECOND - NEAR_MS, 40 * SECOND)
  })
})
