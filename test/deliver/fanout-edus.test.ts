/** Whom EDUs wake: durable ones as events do, the others only who answers quickly. */
import { expect } from 'chai'
import { systemClock } from '../../src/pace/clock.ts'
import { makeFanout } from '../../src/deliver/wake/fanout.ts'
import { findConcernedByEdus } from '../../src/store/delivery/wake-for-edus.ts'
import { findConcerned } from '../../src/store/delivery/wake-lists.ts'
import { eduRequest, makeEduWorld, other, receipts, toDevice, type EduWorld } from '../ingest/edu-world.ts'
import { event, ROOM, servers } from '../ingest/ingest-world.ts'
import { nameIn } from '../../src/store/statement.ts'
import { costed, sumOf } from '../support/plans.ts'

const OTHER = '!other:home.example'
const DEADLINE = { deadline_retries: true, deadline_retry_min_ms: 30_000, long_outage_ms: 3_600_000 }
const { signal } = new AbortController()
const WORKER = '00000000-0000-4000-8000-000000000001'

describe('whom EDUs wake', () => {
  let world: EduWorld
  let from: number
  beforeEach(async () => {
    world = await makeEduWorld({})
    const all = ['quick', 'slow', 'fails', 'held', 'paused', 'due', 'served', 'followed'].map(
      (name) => `${name}.example`,
    )
    await world.take([servers({ add: all }), servers({ add: ['quick.example', 'elsewhere.example'] }, OTHER)])
    await world.rows(
      `insert into workers (id, name, lease_until) values ('${WORKER}', 'w', now_ms() + 60000)`,
    )
    await world.rows(`update destinations set quick = name <> 'slow.example'`)
    const set = (name: string, what: string) =>
      world.rows(`update destinations set ${what} where name = '${name}.example'`)
    await set('fails', 'look_at = now_ms() + 60000, retry_at = now_ms() + 60000, failures = 1')
    await set('held', 'look_at = now_ms() + 60000, hold_until = now_ms() + 60000')
    await set('paused', 'paused = true')
    await set('due', 'look_at = 0')
    await set('served', `lease_owner = '${WORKER}', look_at = 0`)
    await set('followed', `lease_owner = '${WORKER}', follows = true`)
    from = await world.head()
  })
  afterEach(() => world.pool.end())

  const woken = async () => {
    const upto = await world.head()
    const found = [
      ...(await findConcerned(world.pool, from, upto)),
      ...(await findConcernedByEdus(world.pool, from, upto)),
    ]
    return [...new Set(found.map(({ name }) => name.replace('.example', '')))].sort()
  }

  it('are those who answer quickly, for one that is not durable', async () => {
    await world.append(eduRequest([receipts(['alice'])]))
    expect(await woken()).to.deep.equal(['quick', 'served'])
  })

  it('are all whom an event wakes, for a durable one', async () => {
    await world.take([event()])
    const byEvent = await woken()
    expect(byEvent).to.deep.equal(['quick', 'served', 'slow'])
    from = await world.head()
    await world.append(eduRequest([other({ rooms: [ROOM], durable: true })]))
    expect(await woken()).to.deep.equal(byEvent)
  })

  it('are none who fails and is served at this moment, for one that is not durable', async () => {
    await world.rows(`update destinations set retry_at = 0, failures = 1 where name = 'served.example'`)
    await world.append(eduRequest([receipts(['alice'])]))
    expect(await woken()).to.deep.equal(['quick'])
    await world.append(eduRequest([other({ rooms: [ROOM], durable: true })]))
    expect(await woken(), 'its turn may have looked for the last time').to.include('served')
  })

  it('are not those who are looked at by themselves when it may go, unless somebody has them in hand', async () => {
    const presence = {
      edu_type: 'm.presence',
      content: { push: [{ user_id: '@a:home.example', presence: 'online' }] },
    }
    const after = async (ms: number, item: object) => {
      await world.rows(
        `update destinations set look_at = now_ms() + $1 where name in ('quick.example', 'served.example')`,
        [ms],
      )
      from = await world.head()
      await world.append(eduRequest([item]))
      return woken()
    }
    const byPresence = { ...presence, rooms: [ROOM] }
    expect(await after(9_000, byPresence)).to.deep.equal(['served'])
    expect(await after(9_000, receipts(['alice'])), 'it waits for no company').to.deep.equal([
      'quick',
      'served',
    ])
    expect(await after(900, receipts(['alice']))).to.deep.equal(['served'])
    expect(await after(30_000, byPresence), 'it goes before that').to.deep.equal(['quick', 'served'])
    expect(await after(900, other({ rooms: [ROOM], durable: true }))).to.deep.equal([
      'quick',
      'served',
      'slow',
    ])
    expect(await after(9_000, other({ rooms: [ROOM, OTHER] }))).to.include('quick')
    expect(await after(9_000, { ...presence, rooms: [ROOM, OTHER] })).to.deep.equal(['elsewhere', 'served'])
  })

  it('are the servers of all rooms of a set, and those on a list', async () => {
    await world.rows(`update destinations set quick = true`)
    await world.append(eduRequest([other({ rooms: [ROOM, OTHER] })]))
    expect(await woken()).to.deep.equal(['elsewhere', 'quick', 'served', 'slow'])
    from = await world.head()
    await world.append(eduRequest([toDevice('m1', ['slow.example', 'fails.example'])]))
    expect(await woken()).to.deep.equal(['slow'])
    from = await world.head()
    await world.append(eduRequest([other({ destinations: ['elsewhere.example', 'paused.example'] })]))
    expect(await woken()).to.deep.equal(['elsewhere'])
  })

  it('are each told once a batch, as for what needs them most', async () => {
    await world.append(
      eduRequest([
        receipts(['a', 'b', 'c']),
        event(),
        other({ rooms: [ROOM, OTHER] }),
        toDevice('m1', ['slow.example']),
      ]),
    )
    expect(await woken()).to.deep.equal(['elsewhere', 'quick', 'served', 'slow'])
    const found = (await findConcernedByEdus(world.pool, from, await world.head())).map(({ name }) => name)
    expect(found).to.have.length(new Set(found).size)
  })

  it('are not those who left before it, and not once more those of a batch before', async () => {
    await world.take([servers({ remove: ['quick.example'] })])
    from = await world.head()
    await world.append(eduRequest([receipts(['alice'])]))
    expect(await woken()).to.deep.equal(['served'])
    from = await world.head()
    expect(await woken()).to.deep.equal([])
  })

  it('are asked for only where the stream has some that are new', async () => {
    const asked: (string | null)[] = []
    const pool = new Proxy(world.pool, {
      get: (it, key) =>
        key !== 'query'
          ? (Reflect.get(it, key) as unknown)
          : (text: string, values: unknown[]) => {
              asked.push(nameIn(text))
              return it.query(text, values)
            },
    })
    await world.rows(`update cursors set pos = ${from} where name = 'fanout'`)
    const fanout = makeFanout({ pool, clock: systemClock, deadline: DEADLINE, wake: () => Promise.resolve() })
    await world.take([event()])
    await fanout(signal)
    expect(asked.splice(0)).not.to.include('whom do new EDUs concern')
    await world.append(eduRequest([receipts(['alice'])]))
    await fanout(signal)
    expect(asked).to.include('whom do new EDUs concern')
  })

  it('are woken by the fanout, which does not wake them again while their job waits', async () => {
    const jobs: string[][] = []
    const fanout = makeFanout({
      ...{ pool: world.pool, clock: systemClock },
      deadline: DEADLINE,
      wake: (who) => Promise.resolve(void jobs.push(who.map(({ name }) => name))),
    })
    await world.rows(`update cursors set pos = ${from} where name = 'fanout'`)
    for (let n = 0; n < 3; n += 1) {
      await world.append(eduRequest([receipts([`user${n}`], { rooms: [ROOM] })]))
      await fanout(signal)
    }
    expect(jobs).to.deep.equal([['quick.example', 'served.example'], ['served.example'], ['served.example']])
  })
})

describe('what the fanout reads for EDUs', function () {
  this.timeout(60_000)
  const MANY = 10_000
  let world: EduWorld
  before(async () => {
    world = await makeEduWorld({})
    await world.take([servers({ add: ['first.example'] }), servers({ add: ['first.example'] }, OTHER)])
    await world.rows(
      `insert into destinations (name, position, durable_pos, ephemeral_pos, created_at, quick)
       select 'd' || i, 2, 2, 2, 0, true from generate_series(1, ${MANY}) i`,
    )
    await world.rows(
      `insert into memberships (room, destination, since) select r.id, d.id, 1 from rooms r, destinations d where d.name like 'd%' and r.room_id = '${OTHER}'`,
    )
    // As rooms are: most are small.
    await world.rows(
      `insert into memberships (room, destination, since) select 1000 + n * 500 + d.id % 500, d.id, 1 from destinations d, generate_series(1, 5) n`,
    )
    await world.rows('vacuum analyze')
  })
  after(() => world.pool.end())

  const costOf = async (after: number) => {
    const client = await world.pool.connect()
    try {
      const db = costed(client)
      const found = await findConcernedByEdus(db, after, await world.head())
      return { found: found.length, ...sumOf(db.costs()) }
    } finally {
      client.release(true)
    }
  }

  it('grows with whom they concern, not with all that there are', async () => {
    const after = await world.head()
    await world.append(eduRequest(Array.from({ length: 5 }, (_, n) => receipts([`u${n}`]))))
    const { found, rows, blocks } = await costOf(after)
    expect(found).to.equal(0)
    expect(rows).to.be.below(200)
    expect(blocks).to.be.below(150)
  })

  it('does not grow with the number of EDUs in a room of ten thousand servers', async () => {
    const cost = async (items: number) => {
      const after = await world.head()
      await world.append(
        eduRequest(Array.from({ length: items }, (_, n) => other({ rooms: [OTHER], content: { n } }))),
      )
      return costOf(after)
    }
    const few = await cost(1)
    const many = await cost(8)
    expect(many.found).to.equal(MANY)
    expect(few.found).to.equal(MANY)
    expect(many.rows).to.be.below(few.rows + 500)
    expect(many.blocks).to.be.below(few.blocks * 1.1 + 100)
  })
})
