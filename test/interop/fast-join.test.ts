/**
 * A joins two rooms fast (MSC3706): for a while it is in them and knows none of their members, and everybody goes on. When the
 * rest of the state is there, in the middle of traffic, nobody has left and come again for that: nobody is sent the sticky events
 * once more, nobody misses anything, and who has left in between gets nothing from then on.
 *
 * Alice is on homeserver A, for which limpet sends, Bob on B, whose rooms they are, Carol on C. Synapse stores the missing members
 * first and then that the room's state is whole; limpet may look in between, or not.
 */
import { expect } from 'chai'
import { until } from '../support/poll.ts'
import { arrivedIds, sentAgain } from './support/arrivals.ts'
import type { Client } from './support/client.ts'
import { dawdle, dawdleAtNumber, type Dawdle } from './support/dawdle.ts'
import type { Hold } from './support/gate.ts'
import { say } from './support/homeservers.ts'
import { eventsHeld, inside, knowsWhole, membershipEvent, PATIENCE_MS, seesMember } from './support/inside.ts'
import { allSaid, type Ledger, makeLedger } from './support/ledger.ts'
import type { Limpet } from './support/limpet.ts'
import { roomWith, threeUsers } from './support/people.ts'
import { destinationOf } from './support/records.ts'
import { makeStage } from './support/stage.ts'
import { oneStory } from './support/story.ts'
import type { Synapse } from './support/synapse.ts'
import { talk } from './support/talk.ts'

const STICKY_MS = 900_000

for (const between of [false, true]) {
  describe(`A joins rooms fast, and limpet ${between ? 'looks when only the members are there' : 'looks when all is there'}`, function () {
    oneStory(this)
    const stage = makeStage()
    let a: Synapse
    let b: Synapse
    let c: Synapse
    let alice: Client
    let bob: Client
    let carol: Client
    /** A room that Carol leaves while A knows only a part of its state, and one that she joins then. */
    let left: string
    let joined: string
    let commonRoom: string
    let limpet: Limpet
    let ledgers: Record<'left' | 'joined', Ledger>
    let theState: Hold
    let slow: Dawdle | null = null

    before(async function () {
      ;({ a, b, c } = await stage.open(this))
      ;({ alice, bob, carol } = await threeUsers({ a, b, c }))
      limpet = await stage.limpet({ synapse: a })
      commonRoom = await roomWith(alice, { a, guests: [bob, carol] })
      // Of a room without a name B would tell some members at once.
      ;[left, joined] = [
        await bob.createRoom({ name: 'Carol leaves' }),
        await bob.createRoom({ name: 'Carol comes' }),
      ]
      await carol.join(left, b)
      await knowsWhole(c, left)
      const needs = { from: a, servers: { B: b, C: c }, version: '12' }
      ledgers = {
        left: makeLedger({ ...needs, roomId: left }),
        joined: makeLedger({ ...needs, roomId: joined }),
      }
      theState = b.gate.holdAnswers(
        ({ origin, path }) => origin === a.serverName && path.includes('/state_ids/'),
      )
    })
    after(async function () {
      theState.release()
      await slow?.release()
      await stage.clear(this)
    })

    it('Alice joins both, and A asks B for the rest of their state', async () => {
      for (const room of [left, joined]) await alice.join(room, b)
      await until(() => theState.held() >= 2, { withinMs: PATIENCE_MS, what: 'A to ask for both states' })
      expect(await partialRooms()).to.have.members([left, joined])
      for (const room of [left, joined]) expect(await membershipEvent(a, room, bob.userId)).to.equal(null)
    })

    it('everybody talks; Carol leaves the one room and joins the other', async () => {
      await says('left', 'hello', [b, c])
      await says('left', 'sticky', [b, c], STICKY_MS)
      await says('joined', 'hello', [b])
      // C comes later, and is owed it then.
      await says('joined', 'sticky', [b, c], STICKY_MS)
      await heard(await bob.send(left, 'hello, Alice'), await bob.send(joined, 'hello, Alice'))
      await heard(await carol.send(left, 'goodbye'))
      await carol.leave(left)
      await seesMember(a, left, carol.userId, 'leave')
      await carol.join(joined, b)
      await seesMember(a, joined, carol.userId, 'join')
      await says('joined', 'hello, Carol', [b, c])
      // Whether somebody else of C's is in the room A does not know: Synapse's own sender has C in it as well, until it knows.
      await says('left', 'is Carol gone?', [b, c])
      await allSaid(alice, commonRoom, a, [b, c])
      expect(await partialRooms()).to.have.members([left, joined])
    })

    it('A gets the rest, in the middle of traffic', async () => {
      const talking = [talk(alice, [joined, left]), talk(bob, [left, joined])] as const
      slow = await (between
        ? dawdleAtNumber(a, 'un_partial_stated_room_stream_sequence')
        : dawdle(a, { table: 'event_json', when: `new.room_id = '${commonRoom}'` }))
      // limpet does not read beyond what is not stored yet.
      const waits = between ? null : alice.send(commonRoom, 'this takes its time')
      if (!between) await slow.caught()
      theState.release()
      if (between) {
        await slow.caught(2)
        const seen = await alice.send(joined, 'and on')
        ledgers.joined.expect('what limpet reads in between', seen, [b, c])
        await came(b, joined, [seen])
      } else for (const room of [left, joined]) await knowsWhole(a, room)
      await slow.release()
      slow = null
      await waits
      for (const room of [left, joined]) await knowsWhole(a, room)
      const [ofAlice, ofBob] = [await talking[0].stop(), await talking[1].stop()]
      await heard(...ofBob.map(({ eventId }) => eventId))
      for (const { room, eventId } of ofAlice) {
        if (room === joined) ledgers.joined.expect('something', eventId, [b, c])
        else await came(b, left, [eventId])
      }
      say(`${ofAlice.length} messages of Alice’s and ${ofBob.length} of Bob’s while A got the rest`)
    })

    it('then everybody gets what is theirs, and nobody what they have', async () => {
      await allSaid(alice, commonRoom, a, [b, c])
      const before = new Set(arrivedIds(a, c, { roomId: left }))
      const later = [await alice.send(left, 'Carol is gone')]
      later.push(await alice.send(left, 'sticky again', { stickyMs: STICKY_MS }))
      await says('joined', 'Carol is here', [b, c])
      await says('joined', 'sticky again', [b, c], STICKY_MS)
      await allSaid(alice, commonRoom, a, [b, c])
      await came(b, left, later)
      for (const one of [b, c]) {
        const owes = async () => (await destinationOf(limpet, one)).pending_sticky
        await until(async () => (await owes()) === 0, {
          withinMs: PATIENCE_MS,
          what: 'limpet to owe nothing',
        })
        for (const roomId of [left, joined]) expect(sentAgain(a, one, { roomId })).to.deep.equal([])
      }
      expect(arrivedIds(a, c, { roomId: left }).filter((eventId) => !before.has(eventId))).to.deep.equal([])
      expect(ledgers.joined.arrived()).to.deep.equal(ledgers.joined.expected())
      const { left: ledger } = ledgers
      expect(ledger.arrived()).to.include.members(ledger.expected())
      await bob.seeAll(left, later)
    })

    /** `stickyMs`: sticky for so long. */
    async function says(
      where: 'left' | 'joined',
      text: string,
      servers: readonly Synapse[],
      stickyMs?: number,
    ): Promise<void> {
      const room = where === 'left' ? left : joined
      const eventId = await alice.send(room, text, stickyMs === undefined ? {} : { stickyMs })
      ledgers[where].expect(`“${text}”`, eventId, servers)
    }

    /** Waits until A has these events of others. */
    async function heard(...eventIds: string[]): Promise<void> {
      await until(async () => (await eventsHeld(a, eventIds)).size === eventIds.length, {
        withinMs: PATIENCE_MS,
        what: 'A to get what others say',
      })
    }

    async function came(to: Synapse, roomId: string, eventIds: readonly string[]): Promise<void> {
      const missing = () => eventIds.filter((eventId) => !arrivedIds(a, to, { roomId }).includes(eventId))
      await until(() => missing().length === 0, {
        withinMs: PATIENCE_MS,
        what: `${eventIds.length} events to come to ${to.serverName}`,
      })
    }

    async function partialRooms(): Promise<string[]> {
      const { rows } = await inside(a, (db) =>
        db.query<{ room_id: string }>('select room_id from partial_state_rooms where room_id = any($1)', [
          [left, joined],
        ]),
      )
      return rows.map((row) => row.room_id)
    }
  })
}
