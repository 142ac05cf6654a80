/** Who follows a destination, who is woken meanwhile, and how that ends. */
import { expect } from 'chai'
import { makeTurn, type TurnNeeds } from '../../../src/deliver/turn.ts'
import { openPool, type Pool } from '../../../src/store/db.ts'
import {
  beginToFollow,
  readMembers,
  releaseFollowers,
  stopFollowing,
  type Following,
} from '../../../src/store/delivery/follow-flag.ts'
import {
  bumpWake,
  giveWay,
  registerWorker,
  releaseAbandoned,
  retireWorker,
} from '../../../src/store/delivery/leases.ts'
import { readLog } from '../../../src/store/delivery/log-tail.ts'
import { findDue, findOwed, markMissed, findConcerned } from '../../../src/store/delivery/wake-lists.ts'
import { NOBODY_BLOCKED } from '../../support/nobody-blocked.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { releaseDestination, takeDestination } from '../../support/one.ts'

const WORKER = '00000000-0000-4000-8000-000000000001'
const OTHER = '00000000-0000-4000-8000-000000000002'
const HELD = { worker: WORKER, destination: 1, fence: 1 }

describe('following a destination', () => {
  let pool: Pool
  beforeEach(async () => {
    pool = openPool({ url: (await freshDatabase()).url, max: 2 })
    for (const id of [WORKER, OTHER]) await registerWorker(pool, { id, name: id, leaseMs: 3_600_000 })
    await pool.query(
      `insert into destinations (id, name, position, created_at, lease_owner, fence, wake_seq, narrowed_seq, look_at)
       select id, id || '.example', 10, 0, $1, 1, 7, 4, 5 from generate_series(1, 3) id`,
      [WORKER],
    )
    await pool.query('update stream set head = 40')
  })
  afterEach(() => pool.end())

  const following = (more: Partial<Following> = {}): Following => ({
    ...{ held: HELD, wakeSeq: 7, narrowedSeq: 4, position: 20 },
    ...{ durablePos: 20, ephemeralPos: 20, ...more },
  })
  const begin = async (more: Partial<Following> = {}) => (await beginToFollow(pool, [following(more)]))[0]
  const release = async (more: Partial<Following> = {}) =>
    (await releaseFollowers(pool, [following(more)]))[0]
  const row = async () =>
    (
      await pool.query<Record<string, unknown>>(
        'select position, lease_owner, fence, follows, look_at, wake_seq from destinations where id = 1',
      )
    ).rows[0]
  const member = (room: number, destination: number, since: number, until: number | null = null) =>
    pool.query('insert into memberships (room, destination, since, until) values ($1, $2, $3, $4)', [
      ...[room, destination, since, until],
    ])
  const event = (pos: number, recipients: number | null = null) =>
    pool.query(
      `insert into events (pos, room, event_id, sender, pdu, received_ts, recipients) values ($1, 1, 'e', '@a:b', '{}', 0, $2)`,
      [pos, recipients],
    )
  /** By the fanout, or because their time has come. */
  const woken = async () => {
    const found = [...(await findConcerned(pool, 20, 40)), ...(await findDue(pool, 10))]
    return [...new Set(found.map(({ name }) => name))]
  }

  it('begins where its position is moved to', async () => {
    expect(await begin()).to.equal(true)
    expect(await row()).to.deep.equal({
      ...{ position: 20, lease_owner: WORKER, fence: 1, follows: true, look_at: null, wake_seq: 7 },
    })
  })

  it('knows who is in the rooms that are spoken in, and who left them after a position', async () => {
    await member(1, 1, 0)
    await member(1, 2, 3, 21)
    await member(1, 3, 3, 20)
    await member(4, 1, 30, 35)
    await member(4, 1, 38)
    const members = await readMembers(pool, [4, 1, 9], 20)
    const stretches = members.map(({ room, destination, since, until }) => ({
      ...{ room, of: destination.map((id, i) => `${id}: ${since[i]} to ${until[i]}`).sort() },
    }))
    const ever = Number.MAX_SAFE_INTEGER
    expect(stretches).to.deep.equal([
      { room: 4, of: ['1: 30 to 35', `1: 38 to ${ever}`] },
      { room: 1, of: [`1: 0 to ${ever}`, '2: 3 to 21'] },
      { room: 9, of: [] },
    ])
  })

  it('begins for each of many by itself', async () => {
    await pool.query('update destinations set wake_seq = 8 where id = 3')
    const all = [3, 2, 1].map((destination) => following({ held: { ...HELD, destination } }))
    expect(await beginToFollow(pool, all)).to.deep.equal([false, true, true])
  })

  const bad: [string, Partial<Following>, string?][] = [
    ['after a wish of somebody else', { wakeSeq: 6 }],
    ['after something was taken away from it', { narrowedSeq: 3 }],
    ['under an older fence', { held: { ...HELD, fence: 0 } }],
    ['for another worker', { held: { ...HELD, worker: OTHER } }],
    ['when the lease is over', {}, 'update workers set lease_until = now_ms()'],
  ]
  for (const [when, more, sql] of bad) {
    it(`neither begins nor lets go ${when}`, async () => {
      if (sql !== undefined) await pool.query(sql)
      const before = await row()
      expect(await begin(more)).to.equal(false)
      expect(await release(more)).to.equal(false)
      expect(await row()).to.deep.equal(before)
    })
  }

  it('does not begin where a replay went ahead of the timeline, which only its rows know', async () => {
    await pool.query(
      `insert into replays (destination, pos, state, expires_at, at) values (1, 20, 'sent', 0, 0), (2, 21, 'sent', 0, 0)`,
    )
    expect(await begin()).to.equal(true)
    expect(await begin({ held: { ...HELD, destination: 2 } })).to.equal(false)
  })

  it('lets go and says up to where the log held nothing for it', async () => {
    await begin()
    expect(await release({ position: 33 })).to.equal(true)
    expect(await row()).to.deep.include({ position: 33, lease_owner: null, follows: false, look_at: null })
    // Never backwards.
    await takeDestination(pool, WORKER, '1.example')
    expect(await release({ held: { ...HELD, fence: 2 }, position: 5 })).to.equal(true)
    expect(await row()).to.deep.include({ position: 33 })
  })

  it('keeps the fanout away while its process lives, and nobody else', async () => {
    for (const id of [1, 2, 3]) await member(1, id, 0)
    await event(30)
    await begin()
    expect(await woken()).to.have.members(['2.example', '3.example'])
    await pool.query('update workers set lease_until = now_ms()')
    expect(await woken()).to.have.members(['1.example', '2.example', '3.example'])
  })

  it('keeps it away for joins and for what is addressed, too', async () => {
    await pool.query(
      `insert into recipients (id, hash, exact, list, less, head) values (1, 'x', true, '{1,2}', '{}', 30)`,
    )
    await event(30, 1)
    await pool.query(`insert into changes (pos, kind, room, added) values (31, 'servers', 2, '{1,3}')`)
    await begin()
    expect(await woken()).to.have.members(['2.example', '3.example'])
  })

  const ends: [string, () => Promise<unknown>][] = [
    ['it is let go', () => release()],
    ['its holder looks at the rows', () => stopFollowing(pool, HELD)],
    ['its holder gives way', () => giveWay(pool, HELD, 0)],
    [
      'its holder lets go after a look',
      () => releaseDestination(pool, HELD, { wakeSeq: null, lookAt: null, position: null }),
    ],
    ['it is given back', () => releaseAbandoned(pool, HELD, 0)],
    ['its worker retires', () => retireWorker(pool, WORKER)],
    [
      'somebody else takes it',
      async () => {
        await pool.query('update workers set lease_until = now_ms() where id = $1', [WORKER])
        await takeDestination(pool, OTHER, '1.example')
      },
    ],
    ['its worker takes it again', () => takeDestination(pool, WORKER, '1.example')],
  ]
  for (const [how, end] of ends) {
    it(`is over, and it is woken again, when ${how}`, async () => {
      await member(1, 1, 0)
      await event(30)
      await begin()
      expect(await woken()).not.to.include('1.example')
      await end()
      expect(await row()).to.deep.include({ follows: false })
      expect(await woken()).to.include('1.example')
    })
  }

  it('goes on when somebody else only wishes to have it', async () => {
    await begin()
    expect(await takeDestination(pool, OTHER, '1.example')).to.deep.equal({ kind: 'held' })
    expect(await row()).to.deep.include({ follows: true, wake_seq: 8 })
    expect(await release(), 'it must look').to.equal(false)
  })

  it('is not stopped by who has it no more', async () => {
    await begin()
    expect(await stopFollowing(pool, { ...HELD, fence: 0 })).to.equal(false)
    expect(await row()).to.deep.include({ follows: true })
    expect(await stopFollowing(pool, HELD)).to.equal(true)
    expect(await row()).to.deep.include({ follows: false, lease_owner: WORKER })
  })

  it('ends with its process: it is due as soon as that lease is over, though nothing new comes', async () => {
    await pool.query('update destinations set look_at = null')
    await begin()
    const due = async () => (await findDue(pool, 9)).map(({ name }) => name)
    expect(await due()).to.deep.equal([])
    await pool.query('update workers set lease_until = now_ms() where id = $1', [WORKER])
    expect(await due(), 'and not those that it only held').to.deep.equal(['1.example'])
    await pool.query('update destinations set paused = true')
    expect(await due()).to.deep.equal([])
    await pool.query('update destinations set paused = false')
    await takeDestination(pool, OTHER, '1.example')
    expect(await due()).to.deep.equal([])
  })

  it('is nothing that the sweep misses', async () => {
    await member(1, 1, 0)
    await pool.query(`insert into rooms (id, room_id, head) values (1, '!r', 30)`)
    await begin()
    const missed = async () => markMissed(pool, await findOwed(pool))
    expect(await missed()).to.equal(0)
    await pool.query('update workers set lease_until = now_ms()')
    expect(await missed()).to.equal(1)
    expect((await findDue(pool, 10)).map(({ name }) => name)).to.include('1.example')
  })

  it('a wake for one that has a turn here is not lost with its end, which that turn hears of later', async () => {
    // As it is between the commit that let go and its answer.
    const running = new Set(['1.example'])
    const clock = { sleep: () => Promise.resolve() }
    const turn = makeTurn({
      pool,
      running,
      blocking: NOBODY_BLOCKED,
      follow: null,
      clock,
    } as unknown as TurnNeeds)
    const { signal } = new AbortController()
    expect(await turn('1.example', signal)).to.deep.equal({ again: false })
    expect(await row()).to.deep.include({ wake_seq: 8 })
    await releaseDestination(pool, HELD, { wakeSeq: null, lookAt: null, position: null })
    expect(await turn('1.example', signal)).to.deep.equal({ again: true })
    expect(await bumpWake(pool, 'unknown.example')).to.equal(true)
  })
})

describe('reading the log for those who follow it', () => {
  let pool: Pool
  before(async () => {
    pool = openPool({ url: (await freshDatabase()).url, max: 2 })
    await pool.query(
      `insert into recipients (id, hash, exact, list, less, head)
       values (1, 'to', true, '{4,5}', '{}', 0), (2, 'also', false, '{6}', '{7}', 0)`,
    )
    await pool.query(
      `insert into events (pos, room, event_id, sender, pdu, received_ts, sticky_until, recipients)
       values (1, 9, 'a', '@a:b', '{"n":1}', 100, null, null), (4, 9, 'b', '@a:b', '{}', 0, 5, 1),
              (5, 8, 'c', '@a:b', '{}', 0, null, 2)`,
    )
    await pool.query(
      `insert into changes (pos, kind, room, target, added, removed)
       values (2, 'servers', 9, null, '{1,2}', '{3}'), (6, 'redact', 9, 1, null, null), (8, 'purge', 8, null, null, null)`,
    )
    await pool.query('update stream set head = 20')
  })
  after(() => pool.end())

  it('brings events and changes in the order of their positions, up to the head', async () => {
    const read = await readLog(pool, 0, { rows: 100, bytes: 1e9 })
    expect(read).to.deep.include({ after: 0, upto: 20, more: false })
    const change = (pos: number, what: string, room: number, more = {}) => ({
      kind: 'change',
      ...{ pos, what, room, target: null, added: [], removed: [], at: undefined, ...more },
    })
    const event = (pos: number, eventId: string, more = {}) => ({
      kind: 'event',
      ...{
        pos,
        eventId,
        room: 9,
        pdu: '{}',
        receivedTs: 0,
        sticky: false,
        odd: false,
        addressed: null,
        ...more,
      },
    })
    const entries = read.entries.map((entry) =>
      entry.kind === 'event' ? entry : { ...entry, at: undefined },
    )
    expect(entries).to.deep.equal([
      event(1, 'a', { pdu: '{"n":1}', receivedTs: 100 }),
      change(2, 'servers', 9, { added: [1, 2], removed: [3] }),
      event(4, 'b', { sticky: true, addressed: { exact: true, list: [4, 5], less: [] } }),
      event(5, 'c', { room: 8, addressed: { exact: false, list: [6], less: [7] } }),
      change(6, 'redact', 9, { target: 1 }),
      change(8, 'purge', 8),
    ])
  })

  it('goes on where it stopped, whatever fills its limit', async () => {
    for (const limit of [1, 2, 3, 6, 7]) {
      const positions: number[] = []
      let read = await readLog(pool, 0, { rows: limit, bytes: 1e9 })
      for (; read.more; read = await readLog(pool, read.upto, { rows: limit, bytes: 1e9 })) {
        expect(read.entries.length).to.equal(limit)
        positions.push(...read.entries.map(({ pos }) => pos))
      }
      positions.push(...read.entries.map(({ pos }) => pos))
      expect(positions, `${limit} at once`).to.deep.equal([1, 2, 4, 5, 6, 8])
      expect(read.upto).to.equal(20)
    }
  })

  it('tells where it ends, also where that is before the place from which it was asked', async () => {
    for (const after of [20, 25]) {
      const read = await readLog(pool, after, { rows: 5, bytes: 1e9 })
      expect(read).to.deep.include({ after, entries: [], more: false, upto: 20 })
      expect(read.place?.pos, 'the newest there is').to.equal(8)
    }
  })
})
