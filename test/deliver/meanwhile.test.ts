/**
 * What happens between a look and what follows from it: rooms are forgotten, a server leaves, an operator pauses. What was
 * read is then no reason to close a gap, and what was planned no reason to send it.
 */
import { expect } from 'chai'
import { makeWish } from '../../src/store/delivery/wishes.ts'
import { event, makeIngestWorld, purge, redact, ROOM, servers, sticky } from '../ingest/ingest-world.ts'
import { reachable } from '../support/reachable.ts'
import { ANSWERED, holdInTest, takenPlace, UNANSWERED } from './step-stage.ts'

const D = 'd.example:8448'
const OTHER = 'other.example:8448'
const ROOMS = ['a', 'b', 'c', 'd'].map((name) => `!${name}:home.example`)
const [A = '', B = '', C = '', LAST = ''] = ROOMS

describe('what happens between a look and what follows from it', () => {
  let world: Awaited<ReturnType<typeof makeIngestWorld>>
  beforeEach(async () => (world = await makeIngestWorld()))
  afterEach(() => world.close())

  const old = () => world.pool.query('update events set received_ts = received_ts - 1000000')
  const gaps = () => world.rows('select to_pos = cursor as through, closed_at is null as open from gaps')
  const pause = () => makeWish(world.pool, { wish: 'pause', name: D, who: 'test' })
  const resume = () => makeWish(world.pool, { wish: 'resume', name: D, who: 'test' })
  const narrowed = () => world.value<number>('select narrowed_seq from destinations where name = $1', [D])

  describe('a gap over four rooms', () => {
    let d: Awaited<ReturnType<typeof holdInTest>>
    beforeEach(async () => {
      for (const room of ROOMS) await world.take([servers({ add: [D] }, room)])
      for (const room of ROOMS) await world.take([event({ room })])
      await old()
      d = await holdInTest(world.pool, D)
      expect(await d.step()).to.deep.equal({ kind: 'look again' })
      expect(await gaps()).to.deep.equal([{ through: false, open: true }])
    })

    it('stays open for the rooms that are left when two are purged while it is looked up', async () => {
      d.after('read the rooms of the gap', () => world.take([purge(A), purge(B)]))
      await d.toTheEnd()
      expect(d.rooms()).to.deep.equal([C, LAST])
      expect(await gaps()).to.deep.equal([{ through: true, open: false }])
    })

    it('likewise when what was kept of two rooms is given up meanwhile', async () => {
      await world.pool.query('insert into kept_events select * from events')
      await world.pool.query('delete from events')
      d.after('read the rooms of the gap', () => world.pool.query('delete from kept_events where pos <= 6'))
      await d.toTheEnd()
      expect(d.rooms()).to.include.members([C, LAST])
    })

    it('does not close by what was read before a purge', async () => {
      for (const room of ROOMS) await world.take([servers({ remove: [D] }, room)])
      await world.pool.query(`update gaps set cursor = to_pos`)
      d.after('read the rooms of the gap', () => world.take([purge(A)]))
      await d.step()
      expect(await gaps()).to.deep.equal([{ through: true, open: true }])
      await d.toTheEnd()
      expect(await gaps()).to.deep.equal([{ through: true, open: false }])
    })
  })

  const ways: Record<string, object> = {
    leaves: servers({ remove: [D] }),
    'is not in a new list': servers({ set: [OTHER] }),
    'is in a room that is purged': purge(),
  }
  for (const [way, item] of Object.entries(ways)) {
    const owed = [servers({ add: [OTHER] }), sticky(), servers({ add: [D] })]

    it(`a replay that is planned does not go to a server that ${way} meanwhile`, async () => {
      await world.take(owed)
      const d = await holdInTest(world.pool, D)
      d.after('read the timeline', () => world.take([item]))
      expect(await d.step()).to.deep.equal({ kind: 'look again' })
      await d.toTheEnd()
      expect(d.sent).to.deep.equal([])
    })

    it(`nor one for which there is no place yet, to a server that ${way} while it waits`, async () => {
      await world.take(owed)
      const { place, free } = takenPlace()
      const d = await holdInTest(world.pool, D, { place })
      const stepping = d.step()
      await world.take([item])
      free()
      await stepping
      await d.toTheEnd()
      expect(d.sent).to.deep.equal([])
    })
  }

  it('a leave loses nothing of the timeline: what came before it still arrives', async () => {
    await world.take([servers({ add: [D] }), event(), event()])
    const d = await holdInTest(world.pool, D)
    d.after('read the timeline', () => world.take([event(), servers({ remove: [D] }), event()]))
    await d.toTheEnd()
    expect(d.rooms()).to.have.length(3)
  })

  it('nothing new is frozen once `pause` has answered, and it goes on after `resume`', async () => {
    await world.take([servers({ add: [D] }), event()])
    const { place, free } = takenPlace()
    const d = await holdInTest(world.pool, D, { place })
    const stepping = d.step()
    await pause()
    free()
    expect(await stepping).to.deep.equal({ kind: 'look again' })
    await d.toTheEnd()
    expect(d.sent).to.deep.equal([])
    await resume()
    await d.toTheEnd()
    expect(d.sent).to.have.length(1)
  })

  it('nor what was planned before `pause` has answered', async () => {
    await world.take([servers({ add: [D] }), event()])
    const d = await holdInTest(world.pool, D)
    d.after('read the timeline', pause)
    expect(await d.step()).to.deep.equal({ kind: 'look again' })
    await d.toTheEnd()
    expect(d.sent).to.deep.equal([])
  })

  it('a plan from before a pause and a resume is made anew', async () => {
    await world.take([servers({ add: [D] }), event()])
    const d = await holdInTest(world.pool, D)
    d.after('read the timeline', async () => {
      await pause()
      await resume()
    })
    expect(await d.step()).to.deep.equal({ kind: 'look again' })
    await d.toTheEnd()
    expect(d.sent).to.have.length(1)
  })

  it('an unanswered transaction is not repeated while paused; afterwards it is, also to one that left', async () => {
    await world.take([servers({ add: [OTHER] }), sticky(), servers({ add: [D] })])
    let answers = false
    const went: string[] = []
    const d = await holdInTest(world.pool, D, {
      ...reachable(({ txnId, body }) => {
        went.push(`${txnId} ${body.toString()}`)
        return Promise.resolve(answers ? ANSWERED : UNANSWERED)
      }),
    })
    await d.step()
    expect(went).to.have.length(1)
    await makeWish(world.pool, { wish: 'reset', name: D, who: 'test' })
    await world.take([servers({ remove: [D] })])
    d.after('read texts', pause)
    expect(await d.step()).to.deep.equal({ kind: 'look again' })
    await d.toTheEnd()
    expect(went).to.have.length(1)
    answers = true
    await resume()
    await d.toTheEnd()
    expect(went).to.have.length(2)
    expect(went[1]).to.equal(went[0])
  })

  it('an open transaction whose text is redacted between two reads is void, not damaged', async () => {
    const told = event()
    await world.take([servers({ add: [D] }), told])
    const errors: unknown[] = []
    const log = { info() {}, warn() {}, debug() {}, error: (...all: unknown[]) => errors.push(all) } as never
    const bodies: string[] = []
    let answers = false
    const d = await holdInTest(world.pool, D, {
      log,
      ...reachable(({ body }) => {
        bodies.push(body.toString())
        return Promise.resolve(answers ? ANSWERED : UNANSWERED)
      }),
    })
    await d.step()
    await makeWish(world.pool, { wish: 'reset', name: D, who: 'test' })
    answers = true
    d.after('look at the destination', () => world.take([redact(told)]))
    await d.toTheEnd()
    expect(errors).to.deep.equal([])
    expect(bodies).to.have.length(2)
    expect(bodies[1]).not.to.include('secret words')
  })

  it('raises the number in the commit of what takes away, also for the release before, and for nothing else', async () => {
    await world.take([servers({ add: [D, OTHER] }), sticky(), event()])
    expect(await narrowed()).to.equal(0)
    await world.take([servers({ remove: [D] })])
    expect(await narrowed(), 'a leave').to.equal(1)
    await world.take([servers({ add: [D] })])
    expect(await narrowed(), 'a join').to.equal(1)
    await makeWish(world.pool, { wish: 'wake', name: D, who: 'test' })
    expect(await narrowed(), 'a wake').to.equal(1)
    // As the release before this one writes them.
    await world.pool.query(
      'update memberships set until = 99 where until is null and destination in (select id from destinations where name = $1)',
      [D],
    )
    expect(await narrowed(), 'a leave by an old process').to.equal(2)
    await world.pool.query('delete from memberships where until is not null')
    expect(await narrowed(), 'what is tidied away').to.equal(2)
    await world.take([servers({ add: [D] }), servers({ remove: [D] }), servers({ add: [D] })])
    expect(await narrowed(), 'a stay that begins and ends in one commit').to.equal(2)
    await world.take([purge(ROOM)])
    expect(await narrowed(), 'a purge').to.equal(3)
    expect(await world.value('select narrowed_seq from destinations where name = $1', [OTHER])).to.equal(1)
  })
})
