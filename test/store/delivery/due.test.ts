import { expect } from 'chai'
import { systemClock } from '../../../src/pace/clock.ts'
import type { VetDomain } from '../../../src/allow/domains.ts'
import type { Blocking } from '../../../src/deliver/blocking.ts'
import { makeDue, type DueNeeds } from '../../../src/deliver/wake/due.ts'
import { makeLog } from '../../../src/observe/log.ts'
import { openPool, type Pool } from '../../../src/store/db.ts'
import { carryOutPlanned } from '../../../src/store/delivery/planned-acts.ts'
import { findDue, findForgotten, findOwed, markMissed } from '../../../src/store/delivery/wake-lists.ts'
import { NOBODY_BLOCKED } from '../../support/nobody-blocked.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { until } from '../../support/poll.ts'
import { type Cost, costed, sumOf } from '../../support/plans.ts'

describe('looking for due destinations', () => {
  let pool: Pool
  const stopping = new AbortController()
  beforeEach(async () => {
    pool = openPool({ url: (await freshDatabase()).url, max: 2 })
  })
  afterEach(async () => {
    stopping.abort()
    await pool.end()
  })

  const needs = () => ({
    pool,
    carryOut: () => Promise.resolve(),
    releaseAbandoned: () => Promise.resolve(),
    forget: () => Promise.resolve(),
    blocking: NOBODY_BLOCKED as Pick<Blocking, 'now'>,
    clock: systemClock,
    everyMs: 20,
    waiting: 8,
    rampPerSecond: 10_000,
    patienceMs: 0,
    log: makeLog({ level: 'silent', pretty: false }),
  })

  // A thousand dead ones waited in the queue, first come, first served: a server that was said to be up came after them all,
  // ten seconds for as many of them as there are places.
  it('lets no more of them wait in the queue than there are places, so that the order among the rest stays open', async () => {
    await pool.query(
      `insert into destinations (id, name, position, created_at, failures, retry_at, look_at)
       select id, id || '.example', 0, 0, id, 0, 0 from generate_series(1, 500) id`,
    )
    const woken: string[] = []
    const due = makeDue({
      ...needs(),
      wake: (who) => Promise.resolve(void woken.push(...who.map(({ name }) => name))),
      turn: () => Promise.resolve({ again: false }),
      cutting: new AbortController().signal,
    })
    const running = due(stopping.signal)
    await until(() => woken.length > 0, { what: 'the first wakes' })
    await pool.query(`update destinations set advice_at = now_ms() where name = '500.example'`)
    await until(() => woken.includes('500.example'), { what: 'the one that was said to be up' })
    expect(woken.indexOf('500.example')).to.equal(8)
    await pool.query(`update destinations set look_at = null where id <= 4`)
    await until(() => woken.length >= 11, { what: 'those that follow' })
    expect(woken.slice(9).toSorted()).to.deep.equal(['10.example', '11.example', '9.example'])
    stopping.abort()
    await running
  })

  // Nobody ever took them: the first eight were found again at each look, and who came after them never had its turn.
  it("puts aside those that are blocked, so that they stand in nobody's way, and serves none of them directly", async () => {
    await pool.query(
      `insert into destinations (id, name, position, created_at, failures, retry_at, look_at, missed)
       select id, id || case when id <= 40 then '.blocked.example' else '.example' end, 0, 0, id, 0, 0, 2 from generate_series(1, 43) id`,
    )
    await pool.query(
      `insert into workers (id, name, lease_until) values ('00000000-0000-4000-8000-000000000001', 'gone', 0)`,
    )
    await pool.query(
      `update destinations set look_at = null, follows = true, lease_owner = '00000000-0000-4000-8000-000000000001' where id <= 10`,
    )
    const [woken, served]: [string[], string[]] = [[], []]
    const stop = new AbortController()
    const due = makeDue({
      ...needs(),
      blocking: { now: () => (name) => (name.endsWith('.blocked.example') ? 'blocked' : null) },
      wake: (who) => Promise.resolve(void woken.push(...who.map(({ name }) => name))),
      turn: (name) => {
        served.push(name)
        return Promise.resolve({ again: false })
      },
      cutting: new AbortController().signal,
    })
    const running = due(stop.signal)
    await until(() => woken.length >= 3 && served.length >= 3, { what: 'those behind them' })
    stop.abort()
    await running
    const open = ['41.example', '42.example', '43.example']
    expect([...new Set(woken)].toSorted()).to.deep.equal(open)
    expect([...new Set(served)].toSorted()).to.deep.equal(open)
    const left = await pool.query<{ n: number }>(
      `select count(*)::int as n from destinations where name like '%.blocked.example' and (look_at is not null or follows or missed > 0)`,
    )
    expect(left.rows[0]?.n, 'those that are looked at again').to.equal(0)
  })

  it('brings back those that are blocked no more: at once those that nobody has, and their holder looks again at the others', async () => {
    await pool.query(
      `insert into workers (id, name, lease_until) values ('00000000-0000-4000-8000-000000000001', 'alive', now_ms() + 600000)`,
    )
    await pool.query(
      `insert into destinations (id, name, position, created_at, look_at, paused, lease_owner) values
         (1, 'a.x.example', 0, 0, 0, false, null), (2, 'b.x.example', 0, 0, now_ms() + 60000, false, null),
         (3, 'c.x.example', 0, 0, 0, false, '00000000-0000-4000-8000-000000000001'),
         (4, 'd.x.example', 0, 0, null, true, null), (5, 'a.y.example', 0, 0, 0, false, null), (6, 'z.example', 0, 0, null, false, null)`,
    )
    const listOf =
      (...ends: string[]): VetDomain =>
      (name) =>
        ends.some((end) => name.endsWith(end)) ? 'blocked' : null
    let list = listOf('.x.example', '.y.example')
    const woken: string[] = []
    const stop = new AbortController()
    const running = makeDue({
      ...needs(),
      blocking: { now: () => list },
      wake: (who) => Promise.resolve(void woken.push(...who.map(({ name }) => name))),
      turn: () => Promise.resolve({ again: false }),
      cutting: new AbortController().signal,
    })(stop.signal)
    const aside = `select from destinations where name in ('a.x.example', 'a.y.example') and look_at is null`
    await until(async () => (await pool.query(aside)).rowCount === 2, { what: 'them to be put aside' })
    expect(woken).to.deep.equal([])
    list = listOf('.y.example')
    await until(() => woken.length === 2, { what: 'those that are allowed' })
    stop.abort()
    await running
    expect(woken.toSorted()).to.deep.equal(['a.x.example', 'b.x.example'])
    const { rows } = await pool.query<{ id: number; seq: number; due: boolean }>(
      `select id, wake_seq::int as seq, coalesce(look_at <= now_ms(), false) as due from destinations order by id`,
    )
    expect(rows.map(({ seq, due }) => [seq, due])).to.deep.equal([
      ...[
        [1, true],
        [1, true],
        [1, true],
      ],
      ...[
        [0, false],
        [0, false],
        [0, false],
      ],
    ])
  })

  // Ten thousand that were dead for long were sorted twice a second, a tenth of a second each time.
  it('reads the first of ten thousand, not all of them', async () => {
    await pool.query(
      `insert into destinations (id, name, position, created_at, failures, retry_at, look_at, last_success)
       select id, id || '.example', 0, 0, id % 7, 0, 0, nullif(id % 100, 0) from generate_series(1, 10000) id`,
    )
    await pool.query('vacuum analyze destinations')
    const client = await pool.connect()
    const db = costed(client)
    try {
      expect(await findDue(db, 100)).to.have.length(100)
      expect(sumOf(db.costs())).to.satisfy(({ rows, blocks }: Cost) => rows < 1_000 && blocks < 1_000)
    } finally {
      client.release()
    }
  })

  // Their requests were cut off by the stop, and went again at the next start although they had been answered.
  it('lets what it serves directly end when it stops, until everything is cut off', async () => {
    await pool.query(
      `insert into destinations (id, name, position, created_at, missed, look_at) values (1, 'lost.example', 0, 0, 2, 0)`,
    )
    const [stop, cut] = [new AbortController(), new AbortController()]
    let served: AbortSignal | undefined
    let end: () => void = () => undefined
    const due = makeDue({
      ...needs(),
      wake: () => Promise.resolve(),
      turn: (_name, signal) => {
        served = signal
        return new Promise((resolve) => (end = () => resolve({ again: true })))
      },
      cutting: cut.signal,
    })
    const running = due(stop.signal)
    await until(() => served !== undefined, { what: 'its turn' })
    stop.abort()
    const afterTheStop = served?.aborted
    cut.abort()
    end()
    await running
    expect(afterTheStop, 'after the stop').to.equal(false)
    expect(served?.aborted, 'when everything is cut off').to.equal(true)
  })

  // Of 10,000 that died at once, sweeps missed those whose turn had not come yet: 3,400 were served past the queue, with a warning each.
  it('serves directly what has waited for long in its turn, not what has yet to have its turn', async () => {
    await pool.query(
      `insert into destinations (id, name, position, created_at, failures, missed, look_at)
       select id, id || '.example', 0, 0, id, 2, 0 from generate_series(1, 20) id`,
    )
    const stop = new AbortController()
    let time = 0
    const clock = { ...systemClock, monotonic: () => time }
    const served: string[] = []
    const serve = async (name: string) => {
      served.push(name)
      await pool.query(`update destinations set look_at = null, missed = 0 where name = $1`, [name])
      return { again: false }
    }
    let looks = 0
    const due = makeDue({
      ...{ ...needs(), clock, patienceMs: 30_000, turn: serve, cutting: new AbortController().signal },
      releaseAbandoned: () => Promise.resolve(void (looks += 1)),
      wake: () => Promise.reject(new Error('the queue is away')),
    })
    const running = due(stop.signal)
    const lookTwice = async () => {
      const before = looks
      await until(() => looks >= before + 3, { what: 'two looks' })
    }
    await lookTwice()
    expect(served, 'nobody has waited yet').to.deep.equal([])
    time = 30_000
    await until(() => served.length >= 8, { what: 'those in their turn' })
    await lookTwice()
    expect(served.map((name) => Number(name.split('.')[0])).toSorted((a, b) => a - b)).to.deep.equal([
      1, 2, 3, 4, 5, 6, 7, 8,
    ])
    stop.abort()
    await running
  })

  it('brings back nobody while it may not wake, and carries out what operators planned all the same', async () => {
    await pool.query(
      `insert into destinations (id, name, position, created_at, look_at, failures, retry_at)
       values (1, 'due.example', 0, 0, 0, 0, null), (2, 'dead.example', 0, 0, now_ms() + 60000, 3, now_ms() + 60000)`,
    )
    await pool.query(
      `insert into planned_acts (destination, action, who, due_at, upto) values (2, 'reset', 'somebody', 0, 0)`,
    )
    const [woken, stop]: [string[], AbortController] = [[], new AbortController()]
    let mayWake = false
    const running = makeDue({
      ...{ ...needs(), mayWake: () => mayWake, cutting: stop.signal },
      carryOut: () => carryOutPlanned(pool, 10),
      wake: (who) => Promise.resolve(void woken.push(...who.map(({ name }) => name))),
      turn: () => Promise.resolve({ again: false }),
    })(stop.signal)
    const planned = 'select from planned_acts'
    await until(async () => (await pool.query(planned)).rowCount === 0, { what: 'what operators planned' })
    expect(woken, 'while it may not').to.deep.equal([])
    mayWake = true
    await until(() => woken.length >= 2, { what: 'those that are due' })
    stop.abort()
    await running
    expect(woken.toSorted()).to.deep.equal(['dead.example', 'due.example'])
  })

  it('brings in their turn those that the sweep has missed', async () => {
    await pool.query(
      `insert into destinations (id, name, position, created_at, look_at)
       values (1, 'due.example', 0, 0, 0), (2, 'lost.example', 0, 0, null)`,
    )
    await pool.query(
      `insert into recipients (hash, exact, list, less, head) values ('h', true, '{1,2}', '{}', 5)`,
    )
    const miss = async () => markMissed(pool, await findOwed(pool))
    expect(await miss()).to.equal(2)
    expect((await findDue(pool, 9)).map(({ name }) => name)).to.deep.equal(['due.example', 'lost.example'])
    expect(await miss()).to.equal(2)
    expect(await miss(), 'who waits for its turn is not written again').to.equal(0)
    expect(await findForgotten(pool, 9)).to.have.members(['due.example', 'lost.example'])
  })

  describe('of which thousands are due after a start', () => {
    let time: number
    let woken: string[]
    let looks: number
    let end: () => Promise<void>
    beforeEach(() => {
      time = 0
      woken = []
      looks = 0
    })
    afterEach(() => end())

    const begin = (more: Partial<DueNeeds> = {}) => {
      const stop = new AbortController()
      const running = makeDue({
        ...{ ...needs(), clock: { ...systemClock, monotonic: () => time }, waiting: 256, rampPerSecond: 50 },
        releaseAbandoned: () => Promise.resolve(void (looks += 1)),
        wake: (who) => Promise.resolve(void woken.push(...who.map(({ name }) => name))),
        turn: () => Promise.resolve({ again: false }),
        cutting: stop.signal,
        ...more,
      })(stop.signal)
      end = () => {
        stop.abort()
        return running
      }
    }
    const lookTwice = async () => {
      const before = looks
      await until(() => looks >= before + 3, { what: 'two looks' })
    }
    const manyAreDue = (more = '0') =>
      pool.query(
        `insert into destinations (id, name, position, created_at, failures, look_at, missed)
         select id, id || '.example', 0, 0, id, 0, ${more} from generate_series(1, 500) id`,
      )
    const numbers = (from: number, to: number) =>
      Array.from({ length: to - from + 1 }, (_, i) => `${from + i}.example`)

    it('wakes so many a second, the first at once, and does not save up what it did not use', async () => {
      await manyAreDue()
      begin()
      await lookTwice()
      expect(woken).to.deep.equal(numbers(1, 50))
      time = 999
      await lookTwice()
      expect(woken).to.have.length(50)
      time = 1_000
      await lookTwice()
      expect(woken.slice(50)).to.deep.equal(numbers(51, 100))
      time = 9_000
      await lookTwice()
      expect(woken.slice(100)).to.deep.equal(numbers(101, 150))
    })

    it('has those next that were asked for meanwhile, and those that answered last', async () => {
      await manyAreDue()
      begin()
      await lookTwice()
      await pool.query(
        `update destinations set last_success = 5, failures = 0, look_at = 1 where name = '400.example'`,
      )
      await pool.query(`update destinations set asked_at = now_ms() where name = '500.example'`)
      // A look that began before must not be the one that goes on.
      await lookTwice()
      time = 1_000
      await lookTwice()
      expect(woken.slice(50, 53)).to.deep.equal(['500.example', '400.example', '51.example'])
    })

    // Each repeat of one that had died lately went before thousands that nobody had tried since the start.
    it('has those last that have failed since, however lately they answered before', async () => {
      await pool.query(
        `insert into destinations (id, name, position, created_at, last_success, look_at)
         select id, id || '.example', 0, 0, 1000000 - id, 0 from generate_series(1, 100) id`,
      )
      begin()
      await lookTwice()
      await pool.query(`update destinations set failures = 1 + id % 2, look_at = 1 where id <= 4`)
      await pool.query(`update destinations set look_at = null where id between 5 and 50`)
      await pool.query(
        `insert into destinations (id, name, position, created_at, look_at) values (101, 'new.example', 0, 0, 2)`,
      )
      await lookTwice()
      time = 1_000
      await lookTwice()
      time = 2_000
      await lookTwice()
      expect(woken.slice(50)).to.deep.equal([
        ...numbers(51, 100),
        ...['new.example', '2.example', '4.example', '1.example', '3.example'],
      ])
    })

    it('wakes one again that the queue has lost without counting it, and one that is due anew as a new one', async () => {
      await manyAreDue()
      begin({ rampPerSecond: 2 })
      await lookTwice()
      time = 10_500
      await lookTwice()
      expect(woken).to.have.members([...numbers(1, 4), ...numbers(1, 2)])
      // Both were served and failed, and it is time again.
      await pool.query(`update destinations set look_at = 1 where id <= 2`)
      await lookTwice()
      time = 11_000
      await lookTwice()
      expect(woken, 'the second is not over').to.have.length(6)
      time = 11_500
      await lookTwice()
      expect(woken.slice(6)).to.deep.equal(numbers(1, 2))
    })

    it('takes nobody for lost who has not been let through yet', async () => {
      await manyAreDue('2')
      const served: string[] = []
      begin({
        ...{ rampPerSecond: 2, patienceMs: 30_000 },
        wake: () => Promise.reject(new Error('the queue is away')),
        turn: (name) => Promise.resolve({ again: (served.push(name), false) }),
      })
      await lookTwice()
      time = 29_999
      await lookTwice()
      time = 30_000
      await lookTwice()
      expect([...new Set(served)]).to.deep.equal(numbers(1, 2))
    })
  })
})
