/** EDUs go with their time: by every reading of the clock, not from under an unanswered transaction, and with what only they needed. */
import { expect } from 'chai'
import { forgetRoomSets } from '../../../src/store/upkeep/forget-edus.ts'
import { forgetOld } from '../../../src/store/upkeep/forget-old.ts'
import { eduRequest, other, receipts, toDevice, typing } from '../../ingest/edu-world.ts'
import { event, HOUR, purge, ROOM, servers } from '../../ingest/ingest-world.ts'
import { holdTransaction } from '../../support/hold.ts'
import { until } from '../../support/poll.ts'
import { DAY, makeRetentionWorld, SETTINGS, type RetentionWorld } from './retention-world.ts'

const MINUTE = 60_000
/** Marks of time are far apart here, and what is old must be so by one that is ten minutes old. */
const passes = async (world: RetentionWorld, ms: number) => {
  await world.passes(ms)
  await world.passes(12 * MINUTE)
}
const OTHER = '!other:home.example'
const B = 'b.example'

describe('EDUs whose time is over', () => {
  let world: RetentionWorld
  beforeEach(async () => {
    world = await makeRetentionWorld()
    await world.take([servers({ add: [B, 'c.example'] }), servers({ add: ['d.example'] }, OTHER)])
  })
  afterEach(() => world.close())

  const give = (items: readonly object[]) => world.append(eduRequest(items))
  const types = async () =>
    (await world.rows<{ type: string }>('select type from edus order by pos')).map(({ type }) =>
      type.replace(/^m\./, ''),
    )
  const givenUp = async () =>
    Number((await world.value(`select value from counters where name = 'given_up:edus_too_old'`)) ?? 0)
  /** An unanswered transaction that holds these positions. */
  const holds = (name: string, edus: readonly number[], also = '') =>
    world
      .rows(
        `insert into open_transactions (destination, txn_id, origin_server_ts, bytes, created_at, started_at, worker, positions, lanes, from_pos, to_pos,
                                      closes_gap, sticky, edu_txn, edu_form, edu_positions, durable_to, ephemeral_to)
       select id, 't', 0, 0, 0, 0, gen_random_uuid(), '{}', '', 0, 0, false, '[]', 't', 1, $1, 0, 0 from destinations where name = '${name}'`,
        [edus],
      )
      .then(() => (also === '' ? [] : world.rows(`update open_transactions set ${also}`)))

  it('go ten minutes later', async () => {
    await give([typing(), receipts(['alice']), other({ rooms: [ROOM], ttl_ms: 2 * HOUR })])
    await world.passes(9 * MINUTE)
    await world.retain()
    expect(await types(), 'after nine minutes').to.deep.equal(['typing', 'receipt', 'org.example.thing'])
    await world.passes(4 * MINUTE)
    await world.retain()
    expect(await types()).to.deep.equal(['receipt', 'org.example.thing'])
    await passes(world, 2 * HOUR)
    await world.retain()
    expect(await types()).to.deep.equal(['receipt'])
    await passes(world, DAY)
    await world.retain()
    expect(await types()).to.deep.equal([])
    expect(await givenUp(), 'nobody counts these').to.equal(0)
  })

  it('go by no clock that only jumped', async () => {
    await give([typing()])
    await world.later(DAY)
    await world.retain()
    expect(await types()).to.deep.equal(['typing'])
    await world.later(-DAY)
    await world.passes(5 * MINUTE)
    await world.retain()
    expect(await types()).to.deep.equal(['typing'])
    await world.passes(10 * MINUTE)
    await world.retain()
    expect(await types()).to.deep.equal([])
  })

  it('stay while an unanswered transaction is made of them, unless it is void or holds other EDUs by now', async () => {
    await give([typing(), toDevice('m1', [B])])
    const [{ pos: first } = { pos: 0 }] = await world.rows<{ pos: number }>(
      'select min(pos) as pos from edus',
    )
    await holds(B, [first + 1, first])
    await passes(world, 40 * DAY)
    await world.retain()
    expect(await types()).to.deep.equal(['typing', 'direct_to_device'])
    await world.rows(`update open_transactions set edu_txn = 'older'`)
    await world.retain()
    expect(await types()).to.deep.equal([])
    await give([typing()])
    await world.rows(
      `update open_transactions set edu_txn = 't', edu_positions = (select array_agg(pos) from edus)`,
    )
    await passes(world, HOUR)
    await world.retain()
    expect(await types()).to.deep.equal(['typing'])
    await world.rows('update open_transactions set void = true')
    await world.retain()
    expect(await types()).to.deep.equal([])
  })

  it('wait for nobody: what a purge has in its hands goes another time', async () => {
    await give([typing(), receipts(['alice'], { ttl_ms: 1 })])
    await passes(world, HOUR)
    const held = await holdTransaction(world.pool)
    await held.query(`select pos from edus where type = 'm.typing' for update`)
    await world.retain()
    expect(await types()).to.deep.equal(['typing'])
    await held.query('rollback')
    held.release()
    await world.retain()
    expect(await types()).to.deep.equal([])
  })

  describe('that are durable', () => {
    it('are kept as long as the setting says, and those who never got them are counted', async () => {
      await give([
        toDevice('m1', [B, 'c.example']),
        other({ rooms: [ROOM, OTHER], durable: true }),
        other({ rooms: [OTHER], durable: true }),
      ])
      await world.rows(`update destinations set durable_pos = 4 where name = 'c.example'`)
      await world.passes(29 * DAY)
      await world.retain()
      expect(await types()).to.have.length(3)
      await passes(world, DAY + 15 * MINUTE)
      await world.retain()
      expect(await types()).to.deep.equal([])
      expect(await givenUp(), 'b both of its own, d both of its own').to.equal(4)
    })

    it('are kept for a time of their own where that is shorter', async () => {
      await give([toDevice('m1', [B], { ttl_ms: HOUR }), toDevice('m2', [B], { ttl_ms: 300 * DAY })])
      await passes(world, 2 * HOUR)
      await world.retain()
      expect(await types()).to.have.length(1)
      expect(await givenUp()).to.equal(1)
      await world.retain({ settings: { ...SETTINGS, durable_edus_ms: HOUR } })
      expect(await types()).to.deep.equal([])
      expect(await givenUp()).to.equal(2)
    })

    it('are not counted for who left before them, or joined after', async () => {
      await world.take([servers({ remove: ['c.example'] })])
      await give([other({ rooms: [ROOM], durable: true })])
      await world.take([servers({ add: ['late.example'] })])
      await world.rows('update destinations set durable_pos = 0')
      await passes(world, 31 * DAY)
      await world.retain()
      expect(await givenUp()).to.equal(1)
    })

    it('go by time that was seen: a month without limpet takes nothing', async () => {
      await give([toDevice('m1', [B])])
      await world.later(40 * DAY)
      await passes(world, HOUR)
      await world.retain()
      expect(await types()).to.deep.equal(['direct_to_device'])
    })

    it('are many: they go in small commits, and every round goes on', async () => {
      await give(Array.from({ length: 450 }, (_, n) => toDevice(`m${n}`, [B])))
      await passes(world, 31 * DAY)
      await world.retain()
      expect(await types()).to.deep.equal([])
      expect(await givenUp()).to.equal(450)
    })
  })

  it('that came while the clock was a year ahead go as soon as others would', async () => {
    await world.later(365 * DAY)
    await give([receipts(['alice']), toDevice('m1', [B])])
    await world.later(-365 * DAY)
    await give([receipts(['bob'])])
    await passes(world, 20 * HOUR)
    await world.retain()
    expect(await types(), 'before').to.deep.equal(['receipt', 'direct_to_device', 'receipt'])
    await passes(world, 5 * HOUR)
    await world.retain()
    await passes(world, HOUR)
    await world.retain()
    expect(await types()).to.deep.equal(['direct_to_device'])
    await passes(world, 30 * DAY)
    await world.retain()
    await passes(world, HOUR)
    await world.retain()
    expect(await types()).to.deep.equal([])
  })

  it('that seem to have come from the future while a clock is behind stay', async () => {
    await give([receipts(['alice']), toDevice('m1', [B])])
    await world.later(-365 * DAY)
    await passes(world, HOUR)
    await world.retain()
    expect(await types()).to.deep.equal(['receipt', 'direct_to_device'])
    await world.later(365 * DAY)
    expect(
      Number(
        await world.value('select count(*) from edus where expires_at is null or expires_at > now_ms()'),
      ),
    ).to.equal(2)
  })
})

describe('durable EDUs of rooms that were purged', () => {
  let world: RetentionWorld
  beforeEach(async () => {
    world = await makeRetentionWorld()
    await world.take([servers({ add: [B] }), servers({ add: [B] }, OTHER)])
  })
  afterEach(() => world.close())

  const durable = (...rooms: string[]) => other({ rooms, durable: true })
  const left = async () =>
    (await world.rows<{ pos: number }>('select pos::int from edus order by pos')).map(({ pos }) => pos)
  const retainLater = async () => {
    await world.passes(HOUR + MINUTE)
    await world.retain()
  }

  it('go where all their rooms were, and not what came after that', async () => {
    await world.append(
      eduRequest([
        ...[durable(ROOM), durable(ROOM, OTHER), durable(OTHER), toDevice('m1', [B])],
        ...[purge(), servers({ add: [B] }), durable(ROOM), durable(ROOM, OTHER)],
      ]),
    )
    await world.retain()
    expect(await left()).to.deep.equal([4, 5, 6, 9, 10])
    await world.take([purge(OTHER)])
    await retainLater()
    expect(await left()).to.deep.equal([6, 9, 10])
  })

  it('stay while an unanswered transaction holds them', async () => {
    await world.append(eduRequest([durable(ROOM), purge()]))
    await world.rows(
      `insert into open_transactions (destination, txn_id, origin_server_ts, bytes, created_at, started_at, worker, positions, lanes, from_pos, to_pos,
                                      closes_gap, sticky, edu_txn, edu_form, edu_positions, durable_to, ephemeral_to)
       select id, 't', 0, 0, 0, 0, gen_random_uuid(), '{}', '', 0, 0, false, '[]', 't', 1, '{3}', 0, 0 from destinations where name = '${B}'`,
    )
    await world.retain()
    expect(await left()).to.deep.equal([3])
    await world.rows('delete from open_transactions')
    await retainLater()
    expect(await left()).to.deep.equal([])
  })
})

describe('what only EDUs needed', () => {
  let world: RetentionWorld
  beforeEach(async () => {
    world = await makeRetentionWorld()
    await world.take([servers({ add: [B] }), servers({ add: [B] }, OTHER)])
  })
  afterEach(() => world.close())
  const give = (items: readonly object[]) => world.append(eduRequest(items))
  const sets = async () => Number(await world.value('select count(*) from edu_rooms'))
  const forget = () => forgetOld(world.pool, 30 * DAY)

  it('a set of rooms goes when no EDU names it, and comes anew', async () => {
    await give([other({ rooms: [ROOM, OTHER] })])
    await forgetRoomSets(world.pool)
    expect(await sets()).to.equal(1)
    await world.rows('delete from edus')
    await forgetRoomSets(world.pool)
    expect(await sets()).to.equal(0)
    await give([other({ rooms: [ROOM, OTHER] })])
    expect(await sets()).to.equal(1)
  })

  it('a set of rooms that ingest has found stays: who removes it waits for ingest, and looks again', async () => {
    await give([other({ rooms: [ROOM, OTHER] })])
    await world.rows('delete from edus')
    const [set] = await world.rows<{ id: number }>('select id from edu_rooms')
    const held = await holdTransaction(world.pool)
    await held.query('select pg_advisory_xact_lock($1)', [0x6c696d71])
    await held.query(
      `insert into edus (pos, type, content, received_ts, durable, rooms) values (100, 't', '{}', 0, false, $1)`,
      [set?.id],
    )
    const forgetting = forgetRoomSets(world.pool)
    await until(
      async () => Number(await world.value(`select count(*) from pg_locks where not granted`)) > 0,
      { what: 'it to wait' },
    )
    await held.query('commit')
    held.release()
    await forgetting
    expect(await sets()).to.equal(1)
  })

  it('a round takes sets and lists away with the EDUs that named them', async () => {
    await give([other({ rooms: [ROOM, OTHER] }), toDevice('m1', [B]), event()])
    await passes(world, 31 * DAY)
    await passes(world, 31 * DAY)
    await world.retain()
    await world.retain()
    expect([await sets(), Number(await world.value('select count(*) from recipients'))]).to.deep.equal([0, 0])
  })

  const left = async () => world.memberships(ROOM)
  /** As if the log had gone up to its head, and everybody were past it. */
  const logIsGone = () =>
    world.rows(
      'with s as (update stream set log_floor = head returning head) update destinations d set position = s.head from s',
    )

  for (const [what, edu] of Object.entries({
    'a durable EDU of the room': other({ rooms: [ROOM], durable: true }),
    'a durable EDU of a set of rooms': other({ rooms: [ROOM, OTHER], durable: true }),
    'an EDU of the room': typing(),
    'an EDU of a set of rooms': other({ rooms: [ROOM, OTHER] }),
  }))
    it(`a membership that ended stays while ${what} may be owed by it`, async () => {
      await give([edu, servers({ remove: [B] })])
      await logIsGone()
      await forget()
      expect(await left()).to.have.length(1)
      await world.rows(`update destinations set durable_pos = 100, ephemeral_pos = 100`)
      await forget()
      expect(await left()).to.deep.equal([])
    })

  it('a membership that ended goes when no EDU is so old, wherever its destination is', async () => {
    await give([typing(), other({ rooms: [ROOM, OTHER], durable: true }), servers({ remove: [B] })])
    await world.rows('update destinations set durable_pos = 0, ephemeral_pos = 0')
    await logIsGone()
    await forget()
    expect(await left()).to.have.length(1)
    await world.rows('delete from edus')
    await give([typing(), other({ rooms: [ROOM, OTHER], durable: true }), other({ rooms: [ROOM, OTHER] })])
    await forget()
    expect(await left(), 'what came later is not for it').to.deep.equal([])
  })
})
