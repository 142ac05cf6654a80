/** EDUs to a destination that is followed: from the log, without a look at its rows. */
import { expect } from 'chai'
import { makeEduWorld, other, receipts, toDevice, typing, type EduWorld } from '../../ingest/edu-world.ts'
import { event, purge, servers } from '../../ingest/ingest-world.ts'
import { followInTest, type FollowStage } from './follow-stage.ts'

const B = 'b.example'
const OTHER_ROOM = '!other:home.example'
/** What steady traffic asks of the database. */
const STEADY = ['acknowledge and freeze', 'follow the log', 'who is in the rooms']

const presence = (user = 'alice', also: object = {}) => ({
  edu_type: 'm.presence',
  content: { push: [{ user_id: `@${user}:home.example`, presence: 'online' }] },
  rooms: ['!room:home.example'],
  ...also,
})

describe('EDUs of a followed destination', () => {
  let world: EduWorld
  let it_: FollowStage
  beforeEach(async () => {
    world = await makeEduWorld({})
    await world.take([servers({ add: [B, 'c.example'] }), servers({ add: [B] }, OTHER_ROOM), event()])
    it_ = await followInTest(world, B)
  })
  afterEach(async () => {
    it_.end()
    await world.pool.end()
  })

  const take = async (...items: object[]) => {
    await world.take(items)
    it_.follow.nudge()
  }
  const sent = (n: number) => it_.reads(`${n} transactions`, () => it_.bodies.length >= n)
  const kinds = () =>
    it_.said().map(({ pdus, edus }) => [pdus.length, (edus ?? []).map(({ edu_type }) => edu_type)])
  const asked = () => [...new Set(it_.statements)].sort()
  /** The last answer is written down. */
  const settled = async () => {
    it_.pass(100)
    await it_.reads('the answer to be written', async () => {
      const open = await world.rows('select from open_transactions')
      return open.length === 0
    })
  }

  it('go with its events and by themselves, and their cursors move, without a look', async () => {
    expect(await it_.begin()).to.equal(true)
    for (let n = 1; n <= 5; n += 1) {
      await take(event(), typing(n % 2 === 0), receipts([`u${n}`]), toDevice(`m${n}`, [B]))
      await sent(n)
    }
    expect(kinds()).to.deep.equal(
      Array.from({ length: 5 }, () => [1, ['m.direct_to_device', 'm.typing', 'm.receipt']]),
    )
    await take(toDevice('alone', [B]))
    await sent(6)
    expect(kinds().at(-1)).to.deep.equal([0, ['m.direct_to_device']])
    expect(asked().filter((name) => !STEADY.includes(name ?? ''))).to.deep.equal([])
    await settled()
    const head = await world.head()
    expect(await it_.row()).to.deep.equal({ position: head, d: head, e: head, follows: true })
    expect(it_.turns).to.deep.equal([])
  })

  it('that are not durable go alone once a second, and at once where an event or a durable one goes', async () => {
    await it_.begin()
    await take(typing())
    await sent(1)
    await take(receipts(['a']))
    await it_.quiet()
    it_.pass(900)
    await take(receipts(['b']))
    await it_.quiet()
    expect(kinds(), 'in the same second').to.deep.equal([[0, ['m.typing']]])
    it_.pass(101)
    await sent(2)
    expect(kinds().at(-1)).to.deep.equal([0, ['m.receipt']])
    await take(typing(false))
    await it_.quiet()
    expect(it_.bodies).to.have.length(2)
    await take(event())
    await sent(3)
    expect(kinds().at(-1)).to.deep.equal([1, ['m.typing']])
    await take(typing())
    await it_.quiet()
    await take(toDevice('m', [B]))
    await sent(4)
    expect(kinds().at(-1)).to.deep.equal([0, ['m.direct_to_device', 'm.typing']])
    expect(it_.turns).to.deep.equal([])
  })

  it('of presence alone wait ten seconds for company, and it is followed for that long', async () => {
    await it_.begin()
    await take(presence('alice'))
    await it_.quiet()
    it_.pass(4_500)
    await take(presence('bob'))
    await it_.quiet()
    it_.pass(4_500)
    await it_.quiet()
    expect(it_.bodies).to.deep.equal([])
    expect(await it_.row()).to.deep.include({ follows: true })
    // When it was received is by the database's clock, which the test does not hold.
    await it_.reads('its time to come', () => {
      it_.pass(100)
      return it_.bodies.length === 1
    })
    expect(kinds()).to.deep.equal([[0, ['m.presence']]])
    expect(it_.said()[0]?.edus?.[0]?.content['push']).to.have.length(2)
    it_.pass(1_000)
    await take(presence('carol'))
    await it_.quiet()
    expect(it_.bodies).to.have.length(1)
    await take(receipts(['carol']))
    await sent(2)
    expect(kinds().at(-1), 'a receipt is company').to.deep.equal([0, ['m.presence', 'm.receipt']])
    expect(it_.turns).to.deep.equal([])
  })

  it('give the last of a key, and nothing whose time is over while it waits', async () => {
    await it_.begin()
    await take(typing(), typing(false))
    await sent(1)
    expect(it_.said()[0]?.edus?.map(({ content }) => content['typing'])).to.deep.equal([false])
    const waits = other({ rooms: ['!room:home.example'], ttl_ms: 800 })
    await take(waits)
    await it_.quiet()
    it_.pass(30_000)
    await it_.reads('it to be let go', async () => !(await it_.row()).follows)
    expect(it_.bodies).to.have.length(1)
    expect((await it_.row()).e).to.equal(await world.head())
    expect(it_.turns).to.deep.equal([])
  })

  it('go to a list and to a set of rooms, once, and not to another list', async () => {
    await it_.begin()
    await take(
      other({ rooms: ['!room:home.example', OTHER_ROOM], durable: true }),
      toDevice('theirs', ['c.example']),
      toDevice('mine', [B, 'c.example']),
    )
    await sent(1)
    await it_.quiet()
    expect(kinds()).to.deep.equal([[0, ['org.example.thing', 'm.direct_to_device']]])
    expect(it_.bodies[0]?.text).to.include('"mine"').and.not.include('"theirs"')
  })

  it('are not for it where it left before', async () => {
    await it_.begin()
    await take(servers({ remove: [B] }), typing(), servers({ remove: [B] }, OTHER_ROOM))
    await take(other({ rooms: ['!room:home.example', OTHER_ROOM], durable: true }), toDevice('m', [B]))
    // What was planned before a leave is not frozen: its turn looks.
    await it_.reads('a turn', () => it_.turns.length === 1)
    await it_.toTheEnd()
    expect(kinds()).to.deep.equal([[0, ['m.direct_to_device']]])
  })

  it('that wait are gone with their room; durable ones stay', async () => {
    await it_.begin()
    await take(typing())
    await sent(1)
    await take(receipts(['a']))
    await it_.quiet()
    await take(purge(), toDevice('m', [B]))
    await it_.reads('a turn', () => it_.turns.length === 1)
    await it_.toTheEnd()
    expect(kinds().slice(1)).to.deep.equal([[0, ['m.direct_to_device']]])
  })

  it('go again as the same bytes after a crash before the answer was written', async () => {
    await it_.begin()
    await take(event(), toDevice('m', [B]), receipts(['a']))
    await sent(1)
    it_.end()
    await it_.step()
    expect(it_.bodies).to.have.length(2)
    expect(it_.bodies[1]).to.deep.equal(it_.bodies[0])
    const head = await world.head()
    expect(await it_.row()).to.deep.include({ position: head, d: head, e: head })
  })

  it('for others are passed by the cursors when it is let go', async () => {
    await it_.begin()
    await take(toDevice('theirs', ['c.example']), typing(true, { rooms: ['!room:home.example'] }))
    await sent(1)
    await take(toDevice('theirs too', ['c.example']))
    await it_.quiet()
    it_.pass(2_100)
    await it_.reads('it to be let go', async () => !(await it_.row()).follows)
    const head = await world.head()
    expect(await it_.row()).to.deep.equal({ position: head, d: head, e: head, follows: false })
  })

  it('that wait for their second are not passed where the process stops, and it is woken', async () => {
    await it_.begin()
    await take(typing())
    await sent(1)
    const before = await world.head()
    await take(receipts(['a']))
    await it_.quiet()
    it_.stopping.abort()
    await it_.reads('it to be woken', () => it_.woken.length === 1)
    const { e, d, follows } = await it_.row()
    expect({ d, follows }).to.deep.equal({ d: before + 1, follows: false })
    expect(e).to.equal(before)
  })

  it('that come while it is about to be followed are not missed', async () => {
    it_.after('begin to follow', () => world.take([toDevice('m', [B]), typing()]))
    await it_.begin()
    await sent(1)
    expect(kinds()).to.deep.equal([[0, ['m.direct_to_device', 'm.typing']]])
    expect(it_.turns).to.deep.equal([])
  })

  it('that were left for the next transaction come from the log', async () => {
    const messages = Array.from({ length: 130 }, (_, n) => toDevice(`m${n}`, [B]))
    await world.take([...messages, typing()])
    expect(await it_.begin()).to.equal(true)
    await sent(1)
    await it_.quiet()
    const all = it_.said().flatMap(({ edus }) => edus ?? [])
    expect(all.filter(({ edu_type }) => edu_type === 'm.direct_to_device')).to.have.length(31)
    expect(it_.turns).to.deep.equal([])
  })

  it('that wait for their time at the look are sent from the log when it has come, without another look', async () => {
    await it_.step()
    await world.take([presence('alice'), receipts(['later']), presence('bob')])
    await world.rows('update destinations set ephemeral_at = now_ms() where name = $1', [B])
    it_.bodies.length = 0
    expect(await it_.begin()).to.equal(true)
    await it_.quiet()
    const first = (await world.head()) - 2
    expect(await it_.row()).to.deep.equal({ position: first + 2, d: first + 2, e: first - 1, follows: true })
    it_.pass(1_001)
    await sent(1)
    expect(kinds()).to.deep.equal([[0, ['m.presence', 'm.receipt']]])
    expect(it_.turns).to.deep.equal([])
    expect(asked().filter((name) => ![...STEADY, 'begin to follow'].includes(name ?? ''))).to.deep.equal([])
    await settled()
    expect((await it_.row()).e).to.equal(first + 2)
  })

  for (const others of [600, 0])
    it(`that wait for company when its rows are looked at again after a minute ${others > 0 ? 'are sent first, if much came since: a turn would read it all' : 'are left to the turn, if little came since'}`, async () => {
      await it_.begin()
      await take(presence())
      await world.take(Array.from({ length: others }, (_, n) => toDevice(`m${n}`, ['c.example'])))
      await it_.quiet()
      it_.pass(76_000)
      await it_.reads('its turn', () => it_.turns.length === 1)
      expect(it_.bodies).to.have.length(others > 0 ? 1 : 0)
    })
})
