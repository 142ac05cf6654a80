import { expect } from 'chai'
import { makeRoomViews } from '../../../src/ingest/synapse/room-views.ts'
import { serversNow } from '../../../src/ingest/synapse/room-view.ts'
import { limpetFor, type Limpet } from './limpet.ts'
import { ROOM, synapseTables, type SynapseTables } from './tables.ts'
import { nameIn } from '../../../src/store/statement.ts'

const alice = '@alice:a.example'
const MEMBERS = 3_000

describe('what the Synapse source keeps of rooms in memory', () => {
  let synapse: SynapseTables
  let asked: string[]
  const running: ReturnType<Limpet['follow']>[] = []

  beforeEach(async () => {
    synapse = await synapseTables()
    asked = []
    const query = synapse.pool.query.bind(synapse.pool) as (...given: unknown[]) => unknown
    synapse.pool.query = ((...given: unknown[]) => {
      if (typeof given[0] === 'string') asked.push(given[0])
      return query(...given)
    }) as typeof synapse.pool.query
  })
  afterEach(async () => {
    for (const one of running.splice(0)) await one.stop()
    await synapse.close()
  })
  const joins = (at: number, user: string) =>
    synapse.write({ at, sender: user, member: { user, membership: 'join' } })
  const leaves = (at: number, user: string) =>
    synapse.write({ at, sender: user, member: { user, membership: 'leave' } })
  /** Reads of all members of a room: the current state's, or a state group's. */
  const wholeReads = () =>
    asked.filter((text) =>
      ['who was joined at the place', 'who is joined by the state group'].includes(nameIn(text) ?? ''),
    ).length

  it('reads all members of a room once, however many come and go after that', async () => {
    await joins(1, alice)
    for (const table of ['room_memberships', 'current_state_events', 'state_groups_state'])
      await synapse.pool.query(membersOf(table))
    await synapse.finishedUpTo(1)
    const limpet = limpetFor(synapse.pool)
    running.push(limpet.follow())
    await limpet.reaches(1)
    await synapse.write({ at: 2, sender: alice })
    await synapse.finishedUpTo(2)
    await limpet.reaches(2)
    expect(wholeReads()).to.equal(2)
    for (let at = 3; at < 43; at += 4) {
      await leaves(at, `@u${at}:s${at}.example`)
      await synapse.write({ at: at + 1, sender: alice })
      await joins(at + 2, `@new:n${at}.example`)
      await synapse.write({ at: at + 3, sender: alice })
      await synapse.finishedUpTo(at + 3)
      await limpet.reaches(at + 3)
    }
    expect(wholeReads()).to.equal(2)
    const later = limpet.lines.slice(2)
    expect(later.slice(0, 4)).to.deep.equal(['-s3.example', 'event $4', '+n3.example', 'event $6'])
    expect(later.filter((line) => / also | not /.test(line))).to.deep.equal([])
  })

  it('reads them once in each of two processes that share the work', async () => {
    await joins(1, alice)
    await synapse.finishedUpTo(1)
    const limpet = limpetFor(synapse.pool)
    running.push(limpet.follow(), limpet.follow())
    await limpet.reaches(1)
    for (let at = 2; at < 80; at += 2) {
      // Each comes with an event and goes with the next but one.
      if (at % 4 === 2) await joins(at, `@u:s${at}.example`)
      else await leaves(at, `@u:s${at - 2}.example`)
      await synapse.write({ at: at + 1, sender: alice })
      await synapse.finishedUpTo(at + 1)
      await limpet.reaches(at + 1)
    }
    expect(wholeReads()).to.be.at.most(4)
    const events = limpet.lines.filter((line) => line.startsWith('event'))
    expect(events).to.deep.equal(Array.from({ length: 39 }, (_, i) => `event $${2 * i + 3}`))
    // The first to join may be told with the whole list.
    const gone = limpet.lines.filter((line) => line.startsWith('-'))
    expect(gone).to.deep.equal(Array.from({ length: 19 }, (_, i) => `-s${4 * i + 2}.example`))
  })

  it('counts who is in a state by the newest entries that lead to it', async () => {
    await joins(1, alice)
    await joins(2, '@bob:b.example')
    await joins(3, '@carol:c.example')
    await leaves(4, '@bob:b.example')
    await synapse.finishedUpTo(4)
    const limpet = limpetFor(synapse.pool)
    running.push(limpet.follow())
    await limpet.reaches(4)
    await synapse.write({ at: 5, sender: alice })
    await synapse.finishedUpTo(5)
    await limpet.reaches(5)
    expect(limpet.lines).to.deep.equal(['set c.example', 'event $5'])
  })

  describe('views', () => {
    const views = (maxServers?: number) =>
      makeRoomViews({ pool: synapse.pool, serverName: 'a.example', ...(maxServers ? { maxServers } : {}) })
    const only = new Set([ROOM])
    const none = new Map<string, readonly string[]>()

    it('take back what a window did to them, in reverse', async () => {
      await joins(1, '@bob:b.example')
      await joins(2, '@ben:b.example')
      const all = views()
      const view = (await all.at(2, only, none)).get(ROOM)
      if (view === undefined) throw new Error('no view')
      const change = (joined: boolean, server: string | null) => ({ at: 3, room_id: ROOM, server, joined })
      all.change(view, change(false, 'b.example'))
      all.change(view, change(true, 'c.example'))
      all.change(view, change(false, null))
      all.change(view, change(true, 'd.example'))
      // More leave than had come: nobody owes anybody a user.
      all.change(view, change(false, 'e.example'))
      expect(serversNow(view)).to.deep.equal(['d.example'])
      all.undo()
      expect([...view.servers]).to.deep.equal([['b.example', { now: 2, at: 0 }]])
      expect([...view.differing]).to.deep.equal(['b.example'])
    })

    it('catch up with a place that another process moved on, and are read anew where it went back', async () => {
      await joins(1, '@bob:b.example')
      const all = views()
      const names = async (at: number) => serversNow((await all.at(at, only, none)).get(ROOM) ?? missing())
      expect(await names(1)).to.deep.equal(['b.example'])
      await joins(2, '@carol:c.example')
      await leaves(3, '@bob:b.example')
      await joins(4, '@dan:d.example')
      expect(await names(3)).to.deep.equal(['c.example'])
      expect(wholeReads()).to.equal(1)
      expect(await names(1)).to.deep.equal(['b.example'])
      expect(wholeReads()).to.equal(2)
    })

    it('of the rooms that were looked at longest ago go when there are too many servers', async () => {
      const all = views(4)
      for (const room of ['!1', '!2', '!3'])
        await synapse.write({
          at: Number(room[1]),
          room,
          sender: '@b:b',
          member: { user: '@b:b', membership: 'join' },
        })
      for (const room of ['!1', '!2', '!3']) {
        await all.at(3, new Set([room]), none)
        all.keep(3, [room])
      }
      asked.length = 0
      const [one, three] = [await all.at(3, new Set(['!1']), none), await all.at(3, new Set(['!3']), none)]
      expect(one.get('!1')).to.include({ told: false })
      expect(three.get('!3')).to.include({ told: true })
    })
  })
})

const missing = (): never => {
  throw new Error('no view')
}

/** `MEMBERS` users of as many servers, in the room's state from the beginning. */
function membersOf(table: string): string {
  const series = `from generate_series(1, ${MEMBERS}) as i`
  const user = `'@u' || i || ':s' || i || '.example'`
  if (table === 'room_memberships')
    return `insert into room_memberships select '$m' || i, ${user}, ${user}, '${ROOM}', 'join' ${series}`
  if (table === 'current_state_events')
    return `insert into current_state_events select '$m' || i, '${ROOM}', 'm.room.member', ${user}, 'join', 1 ${series}`
  return `insert into state_groups_state
    select (select min(state_group) from event_to_state_groups), '${ROOM}', 'm.room.member', ${user}, '$m' || i ${series}`
}
