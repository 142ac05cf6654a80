import { expect } from 'chai'
import {
  countGapRooms,
  countPending,
  nextUnlisted,
  owedStickyPositions,
} from '../../../src/store/views/count-pending.ts'
import { pendingRooms } from '../../../src/store/views/pending-rooms.ts'
import { makeSituation, type Situation } from './situation.ts'

const MINUTE = 60_000
const D = 'd.example:8448'

describe('what one destination is owed', () => {
  let s: Situation
  before(async () => {
    s = await makeSituation()
  })
  beforeEach(async () => {
    await s.reset()
    await s.server(D)
  })
  after(() => s.close())

  const pending = (cap = 100) => countPending(s.pool, s.idOf(D), cap)
  const stickies = () => owedStickyPositions(s.pool, s.idOf(D))
  const rooms = async (orderBy: 'room_id' | 'pending_pdus' = 'room_id', dir: 'f' | 'b' = 'f', from = 0) =>
    pendingRooms(s.pool, s.idOf(D), { cap: 100, from, limit: 2, orderBy, dir })

  it('counts the timeline behind its position, in the intervals of its memberships only', async () => {
    await s.member(D, 'a', 2, 6)
    await s.member(D, 'a', 8)
    for (const pos of [2, 3, 4, 6, 7, 8, 9]) await s.event(pos, 'a')
    await s.event(10, 'elsewhere')
    await s.change(D, { position: 3 })
    // 4, 6 (the event that ended it), 9
    expect((await pending()).pdus).to.equal(3)
  })

  it('counts what is addressed to it, and not what leaves it out', async () => {
    await s.server('other:1')
    await s.member(D, 'a')
    await s.event(1, 'a', { notTo: [D] })
    await s.event(2, 'a', { to: ['other:1'] })
    await s.event(3, 'a', { to: [D] })
    await s.event(4, 'b', { alsoTo: [D] })
    await s.event(5, 'b', { to: [D] })
    await s.event(6, 'b', { to: [] })
    await s.event(7, 'a', { alsoTo: ['other:1'] })
    expect((await pending()).pdus).to.equal(4)
  })

  it('leaves out what a replay brought, and knows how old the oldest is', async () => {
    await s.member(D, 'a')
    await s.event(1, 'a', { receivedAgo: 5 * MINUTE })
    await s.event(2, 'a', { receivedAgo: 3 * MINUTE })
    await s.event(3, 'a')
    await s.replay(D, 1, 'sent')
    await s.replay(D, 3, 'lapsed')
    const { pdus, oldest } = await pending()
    expect(pdus).to.equal(2)
    expect((await s.now()) - (oldest ?? 0)).to.be.within(3 * MINUTE, 4 * MINUTE)
  })

  it('is exact up to the cap and says so beyond it', async () => {
    await s.member(D, 'a')
    await s.member(D, 'b')
    for (let pos = 1; pos <= 6; pos += 1) await s.event(pos, pos % 2 === 0 ? 'a' : 'b')
    expect(await pending(6)).to.include({ pdus: 6, capped: false })
    expect(await pending(5)).to.include({ pdus: 5, capped: true })
  })

  it('in a gap counts the newest of each room and what came for it alone, then real time', async () => {
    await s.member(D, 'a')
    await s.member(D, 'b')
    await s.member(D, 'left', 0, 5)
    for (const [pos, room] of [
      [1, 'a'],
      [2, 'a'],
      [3, 'b'],
      [5, 'left'],
      [6, 'left'],
      [7, 'a'],
    ] as const) {
      await s.event(pos, room)
    }
    await s.event(8, 'never', { alsoTo: [D] })
    await s.event(9, 'never', { alsoTo: [D] })
    await s.event(11, 'a')
    await s.event(12, 'a')
    await s.gap(D, 0, 10)
    // 3 (b), 5 (left), 7 (a), 8 and 9 (alone), 11 and 12 (real time)
    expect((await pending()).pdus).to.equal(7)
    expect(await countGapRooms(s.pool, s.idOf(D))).to.equal(4)
    await s.pool.query('update gaps set cursor = 5')
    expect((await pending()).pdus).to.equal(5)
    await s.replay(D, 7, 'sent')
    expect((await pending()).pdus).to.equal(4)
    await s.pool.query('update gaps set closed_at = 1')
    await s.change(D, { position: 10 })
    expect((await pending()).pdus).to.equal(2)
    expect(await countGapRooms(s.pool, s.idOf(D))).to.equal(0)
  })

  it('counts sticky events owed by a join while they are sticky and it is in the room', async () => {
    for (const pos of [1, 2, 3]) await s.event(pos, 'a', { sticky: MINUTE })
    await s.event(4, 'a', { sticky: -1 })
    await s.event(5, 'b', { sticky: MINUTE })
    await s.member(D, 'a', 6)
    await s.owe(D, 'a', { upto: 6, cursor: 1 })
    await s.change(D, { position: 6 })
    expect(await stickies()).to.deep.equal([2, 3])
    await s.replay(D, 2, 'sent', { listed_at: 6 })
    await s.replay(D, 3, 'sent', { listed_at: 5 })
    expect(await stickies()).to.deep.equal([3])
    await s.pool.query('update memberships set until = 9')
    expect(await stickies()).to.deep.equal([])
  })

  it('counts sticky events owed by a gap in rooms where it was and is', async () => {
    await s.member(D, 'a')
    await s.member(D, 'left', 0, 4)
    await s.member(D, 'late', 3)
    await s.event(1, 'a', { sticky: MINUTE })
    await s.event(2, 'left', { sticky: MINUTE })
    await s.event(3, 'late', { sticky: MINUTE })
    await s.event(5, 'late', { sticky: MINUTE })
    await s.event(6, 'a', { sticky: MINUTE, notTo: [D] })
    await s.event(7, 'a')
    await s.gap(D, 0, 7)
    await s.owe(D, null, { after_pos: 0, upto: null })
    expect(await stickies()).to.deep.equal([1, 5])
    await s.replay(D, 1, 'sent')
    expect(await stickies()).to.deep.equal([5])
  })

  it('counts sticky events of the timeline and those that an answer did not list', async () => {
    await s.member(D, 'a')
    await s.event(1, 'a', { sticky: MINUTE })
    await s.event(2, 'a', { sticky: MINUTE })
    await s.event(3, 'a', { sticky: -1 })
    await s.change(D, { position: 1 })
    await s.replay(D, 1, 'unlisted', { next_at: 77 })
    await s.replay(D, 3, 'unlisted', { next_at: 5 })
    expect(await stickies()).to.deep.equal([1, 2])
    expect((await pending()).sticky).to.equal(2)
    expect(await nextUnlisted(s.pool, s.idOf(D))).to.equal(77)
    await s.pool.query('update memberships set until = 2')
    expect(await stickies()).to.deep.equal([2])
    expect(await nextUnlisted(s.pool, s.idOf(D))).to.equal(null)
  })

  describe('of which something is apart', () => {
    beforeEach(async () => {
      await s.member(D, 'a')
      await s.member(D, 'b')
      for (const [pos, room] of [
        [1, 'a'],
        [2, 'b'],
        [3, 'a'],
        [4, 'a'],
        [5, 'b'],
        [6, 'a'],
      ] as const)
        await s.event(pos, room)
      await s.change(D, { position: 5 })
    })
    const sums = async () => {
      const { pdus, sticky, pdusResting, stickyResting } = await pending()
      return [pdus, sticky, pdusResting, stickyResting]
    }

    it('counts it beside its lanes, though the position is past it, and once', async () => {
      expect(await sums()).to.deep.equal([1, 0, 0, 0])
      await s.apart(D, 1, 'a')
      await s.apart(D, 2, 'b', { grp: 1 })
      expect(await sums()).to.deep.equal([3, 0, 1, 0])
      // Ahead of the position: the timeline does not have it as well.
      await s.apart(D, 6, 'a', { grp: 1 })
      expect(await sums()).to.deep.equal([3, 0, 1, 0])
      expect((await rooms()).rows.map(({ room_id, pending_pdus }) => [room_id, pending_pdus])).to.deep.equal([
        ['!a:us', 2],
        ['!b:us', 1],
      ])
    })

    it('counts what a room that waits is owed after its own cursor, before and behind the position', async () => {
      await s.wait(D, 'a', { cursor: 1 })
      expect(await sums()).to.deep.equal([3, 0, 0, 0])
      await s.apart(D, 3, 'a', { grp: 1 })
      expect(await sums()).to.deep.equal([3, 0, 0, 0])
      await s.replay(D, 4, 'sent')
      expect(await sums()).to.deep.equal([2, 0, 0, 0])
      await s.pool.query('update waiting_rooms set cursor = 6')
      expect(await sums()).to.deep.equal([1, 0, 0, 0])
    })

    it('counts what came by name for it in a room that waits', async () => {
      await s.event(7, 'never', { alsoTo: [D] })
      await s.event(8, 'never', { alsoTo: [D] })
      await s.change(D, { position: 8 })
      await s.wait(D, 'never', { cursor: 7 })
      expect(await sums()).to.deep.equal([1, 0, 0, 0])
    })

    it('of a held room all rests', async () => {
      await s.wait(D, 'a', { cursor: 3, held_since: 5, next_at: 9 })
      await s.apart(D, 1, 'a', { next_at: null })
      await s.apart(D, 3, 'a', { next_at: null })
      // 1 and 3 apart, 4 and 6 after the cursor.
      expect(await sums()).to.deep.equal([4, 0, 4, 0])
    })

    it('in a gap a room that waits is owed all after its cursor, and no newest', async () => {
      await s.change(D, { position: 0 })
      await s.gap(D, 0, 5)
      // 4 and 5 are the newest of their rooms, 6 is behind the gap.
      expect(await sums()).to.deep.equal([3, 0, 0, 0])
      await s.wait(D, 'a', { cursor: 1 })
      expect(await sums()).to.deep.equal([4, 0, 0, 0])
      expect(await countGapRooms(s.pool, s.idOf(D))).to.equal(1)
      await s.apart(D, 5, 'b', { lane: 'c' })
      expect(await sums()).to.deep.equal([4, 0, 1, 0])
      expect(await countGapRooms(s.pool, s.idOf(D))).to.equal(0)
    })

    it('counts sticky events that are apart, and those of a room that waits, once each', async () => {
      await s.event(7, 'a', { sticky: MINUTE })
      await s.event(8, 'a', { sticky: MINUTE })
      await s.change(D, { position: 8 })
      expect(await sums()).to.deep.equal([0, 0, 0, 0])
      await s.apart(D, 7, 'a', { lane: 's' })
      await s.replay(D, 7, 'unlisted', { next_at: 5 })
      expect(await sums()).to.deep.equal([0, 1, 0, 1])
      await s.wait(D, 'a', { cursor: 7 })
      expect(await sums()).to.deep.equal([1, 2, 0, 1])
      expect(await stickies()).to.deep.equal([7, 8])
      await s.pool.query('update memberships set until = 99')
      // No replay any more; the timeline still owes the other.
      expect(await stickies()).to.deep.equal([8])
    })
  })

  it('says in which rooms, a page at a time, with the total beyond the end too', async () => {
    for (const room of ['a', 'b', 'c', 'idle']) await s.member(D, room)
    await s.event(1, 'idle')
    await s.event(2, 'a')
    await s.event(3, 'b')
    await s.event(4, 'b', { sticky: MINUTE })
    await s.event(5, 'c')
    await s.change(D, { position: 1 })
    expect(await rooms()).to.deep.equal({
      total: 3,
      rows: [
        { room_id: '!a:us', pending_pdus: 1, latest_position: 2, pending_sticky: 0 },
        { room_id: '!b:us', pending_pdus: 2, latest_position: 4, pending_sticky: 1 },
      ],
    })
    expect((await rooms('room_id', 'f', 2)).rows.map(({ room_id }) => room_id)).to.deep.equal(['!c:us'])
    expect((await rooms('pending_pdus', 'b')).rows[0]?.room_id).to.equal('!b:us')
    expect(await rooms('room_id', 'f', 9)).to.deep.equal({ total: 3, rows: [] })
  })
})
