/**
 * Rooms that A's limpet knows are deleted in Synapse and joined again, or forgotten by an operator. Nobody who is in them is missing
 * then, and nobody else gets anything of them.
 *
 * Alice is on homeserver A, for which limpet sends; Bob on B, Carol on C.
 */
import { expect } from 'chai'
import { openPool, type Pool } from '../../src/store/db.ts'
import { toldAmong } from '../../src/store/ingest/told-rooms.ts'
import { until } from '../support/poll.ts'
import { startRoughProxy, type RoughProxy } from '../support/rough-proxy.ts'
import { arrivals, arrivedIds, sentAgain } from './support/arrivals.ts'
import { deleteRoom } from './support/client-api.ts'
import type { Client } from './support/client.ts'
import { say } from './support/homeservers.ts'
import { knowsWhole, PATIENCE_MS, seesMember } from './support/inside.ts'
import { allSaid } from './support/ledger.ts'
import type { Limpet } from './support/limpet.ts'
import { roomWith, threeUsers, twoRoomsWith } from './support/people.ts'
import { destinationOf, eventIn, fateOf } from './support/records.ts'
import { makeStage } from './support/stage.ts'
import { oneStory } from './support/story.ts'
import type { Synapse } from './support/synapse.ts'
import { talk, type Talk } from './support/talk.ts'

const STICKY_MS = 900_000

/**
 * Two limpets: the one that goes on remembers the rooms as they were, and what happened to them was passed on by the other one, which
 * is killed. When Alice joins again the one that goes on has passed the deletion in Synapse's stream, and it looks when the join is over. Else
 * its lists would be right by chance: a fast join has rooms told again, and a join brings back the old members' events, by which
 * their leaves show in the stream.
 */
describe('rooms are deleted in Synapse and joined again, and two limpets take turns', function () {
  oneStory(this)
  const stage = makeStage()
  let a: Synapse
  let b: Synapse
  let c: Synapse
  let alice: Client
  let bob: Client
  let carol: Client
  /** A room that Carol leaves while A is not in it, and one in which everybody stays. */
  let left: string
  let kept: string
  let other: string
  /** The way of the first limpet, and of nobody else, to A's database. */
  let way: RoughProxy
  let first: Limpet
  let second: Limpet
  let ours: Pool
  let firstHolder: string | undefined
  let talking: Talk
  let joinedAgain: number
  /** By Alice, since then. */
  const said: Record<string, string[]> = {}

  before(async function () {
    ;({ a, b, c } = await stage.open(this))
    ;({ alice, bob, carol } = await threeUsers({ a, b, c }))
    way = await startRoughProxy()
    way.forwardTo(Number(new URL(a.databaseUrl).port))
    first = await stage.limpet({ synapse: a, throughPort: way.port })
    ours = openPool({ url: first.databaseUrl, max: 1 })
    const guests = [bob, carol]
    ;[left, kept] = await twoRoomsWith(alice, { a, guests })
    other = await roomWith(alice, { a, guests })
    firstHolder = await reader()
    second = await stage.limpet({ synapse: a, databaseUrl: first.databaseUrl, mayHurry: true })
    expect(await reader()).to.equal(firstHolder)
  })
  after(async function () {
    await ours.end()
    await stage.clear(this)
    await way.close()
  })

  it('the one that reads loses its way to A’s database, the rooms are deleted, and the other one reads on', async () => {
    talking = talk(alice, [other])
    way.cut()
    for (const room of [left, kept]) await deleteRoom(a, room)
    await until(async () => ![undefined, firstHolder].includes(await reader()), {
      withinMs: PATIENCE_MS,
      what: 'the other limpet to read',
    })
    await bob.see(other, await alice.send(other, 'one reads'))
  })

  it('Carol leaves one of them, and a minute later limpet has forgotten both', async () => {
    await carol.leave(left)
    await seesMember(b, left, carol.userId, 'leave')
    const forgotten = async () => {
      second.hurry()
      return (await toldAmong(ours, [left, kept])).length === 0
    }
    // After a minute it cannot know whether it may still read, and asks.
    await until(forgotten, { withinMs: PATIENCE_MS, everyMs: 5_000, what: 'the purges to be passed on' })
  })

  it('that one is killed, and the first one, which was not told of it, reads on', async () => {
    await second.kill9()
    const killed = performance.now()
    way.mend()
    await until(async () => (await reader()) === firstHolder, {
      withinMs: PATIENCE_MS,
      what: 'the first limpet to read',
    })
    say(`a limpet that was killed is followed by the other one after ${since(killed)} ms`)
    await bob.see(other, await alice.send(other, 'the first one reads again'))
    say(`and what is said then is with Bob ${since(killed)} ms after the kill`)
  })

  it('Alice joins both again, through B, and says something before limpet looks', async () => {
    joinedAgain = Date.now()
    way.hold()
    try {
      for (const room of [left, kept]) {
        await alice.join(room, b)
        await knowsWhole(a, room)
        said[room] = [await alice.send(room, 'here I am again')]
      }
    } finally {
      way.release()
    }
  })

  it('that and what she says next reaches everybody who is there, and C nothing of the room that Carol left', async () => {
    for (const room of [left, kept]) {
      said[room]?.push(await alice.send(room, 'is everybody here?'))
      said[room]?.push(await alice.send(room, 'sticky', { stickyMs: STICKY_MS }))
    }
    await allSaid(alice, other, a, [b, c])
    // What B was not sent it may have asked for.
    expect(came(b, left)).to.deep.equal(said[left])
    expect(came(b, kept)).to.deep.equal(said[kept])
    expect(came(c, kept)).to.deep.equal(said[kept])
    expect(arrivals(a, c, { roomId: left }).filter(({ at }) => at >= joinedAgain)).to.deep.equal([])
    const sticky = said[left]?.at(-1) ?? ''
    expect((await fateOf(first, sticky, c))?.outcome ?? 'not_entitled').to.equal('not_entitled')
    for (const room of [left, kept]) {
      const seen = await bob.seeAll(room, said[room] ?? [])
      expect(seen.at(-1)?.msc4354_sticky).to.deep.equal({ duration_ms: STICKY_MS })
    }
  })

  it('it told both rooms at once, without a window that was refused', async () => {
    expect(await first.logTail(1_000)).not.to.include('rooms are told again that limpet knows no more')
  })

  it('of what she said in the other room all the while nothing is lost and nothing comes twice', async () => {
    const all = (await talking.stop()).map(({ eventId }) => eventId)
    await allSaid(alice, other, a, [b, c])
    for (const one of [b, c]) {
      const ids = arrivedIds(a, one, { roomId: other })
      expect(ids.filter((eventId) => all.includes(eventId))).to.deep.equal(all)
      expect(sentAgain(a, one, { roomId: other })).to.deep.equal([])
    }
    say(`${all.length} messages meanwhile`)
  })

  const since = (begun: number) => Math.round(performance.now() - begun)
  const came = (to: Synapse, room: string) =>
    arrivedIds(a, to, { roomId: room }).filter((eventId) => said[room]?.includes(eventId))

  /** Which limpet reads, as their database has it. */
  async function reader(): Promise<string | undefined> {
    const { rows } = await ours.query<{ holder: string }>('select holder from source_leases')
    return rows[0]?.holder
  }
})

describe('limpet forgets a room that it goes on with', function () {
  oneStory(this)
  const stage = makeStage()
  let a: Synapse
  let b: Synapse
  let c: Synapse
  let alice: Client
  let bob: Client
  let carol: Client
  let room: string
  let other: string
  let limpet: Limpet

  before(async function () {
    ;({ a, b, c } = await stage.open(this))
    ;({ alice, bob, carol } = await threeUsers({ a, b, c }))
    limpet = await stage.limpet({ synapse: a })
    room = await roomWith(alice, { a, guests: [bob] })
    other = await roomWith(alice, { a, guests: [bob, carol] })
  })
  after(async function () {
    await stage.clear(this)
  })

  it('deleted in Synapse and joined again within the minute: what was owed of it is nobody’s any more', async () => {
    const before = await alice.send(room, 'sticky, before', { stickyMs: STICKY_MS })
    await bob.see(room, before)
    await deleteRoom(a, room)
    await alice.join(room, b)
    await knowsWhole(a, room)
    const again = await alice.send(room, 'sticky, again', { stickyMs: STICKY_MS })
    await bob.see(room, again)
    await carol.join(room, b)
    await seesMember(a, room, carol.userId, 'join')
    const hello = await alice.send(room, 'hello, Carol')
    await allSaid(alice, other, a, [b, c])
    const owes = async () => (await destinationOf(limpet, c)).pending_sticky
    await until(async () => (await owes()) === 0, { withinMs: PATIENCE_MS, what: 'limpet to owe nothing' })
    expect(arrivedIds(a, b, { roomId: room })).to.include.members([again, hello])
    expect(arrivedIds(a, c, { roomId: room })).to.have.members([again, hello])
    expect(await eventIn(limpet, before)).to.equal(null)
  })

  it('purged by an operator, and Synapse still has it: what Alice says next reaches everybody', async () => {
    await limpet.ingest([{ type: 'purge', room_id: other }])
    const next = await alice.send(other, 'is everybody here?')
    await allSaid(alice, other, a, [b, c])
    for (const one of [b, c]) expect(arrivedIds(a, one, { roomId: other })).to.include(next)
  })
})
