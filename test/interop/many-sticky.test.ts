/**
 * 113 unexpired sticky events in one room, more than two transactions hold and more than one `/sync` shows, in a room
 * whose history is for those who were there (history visibility `joined`): sticky events are for newcomers all the same
 * (contract 5.5, 5.7; MSC4354 forbids the visibility check for them).
 *
 * Alice is on homeserver A, for which limpet sends; Bob, on B, is in the room and away; Carol, on C, comes later.
 */
import { expect } from 'chai'
import { until } from '../support/poll.ts'
import { arrivedIds, sendsFrom } from './support/arrivals.ts'
import type { Client } from './support/client.ts'
import { pdusOf } from './support/gate.ts'
import { say } from './support/homeservers.ts'
import { knowsWhole, PATIENCE_MS, stickyHeld } from './support/inside.ts'
import type { Limpet } from './support/limpet.ts'
import { threeUsers } from './support/people.ts'
import { destinationOf, fateOf } from './support/records.ts'
import { makeStage } from './support/stage.ts'
import { oneStory } from './support/story.ts'
import type { Synapse } from './support/synapse.ts'

/** More than this wait: B is caught up. */
const THRESHOLD = 50
const COUNT = 113
const STICKY_MS = 1_800_000
/** Each of them costs the receiver questions to A about the state of the room. */
const MANY_MS = 240_000

describe(`${COUNT} sticky events in a room with history visibility “joined”`, function () {
  oneStory(this)
  const stage = makeStage()
  let a: Synapse
  let b: Synapse
  let c: Synapse
  let alice: Client
  let bob: Client
  let carol: Client
  let room: string
  let limpet: Limpet
  const sticky: string[] = []

  before(async function () {
    ;({ a, b, c } = await stage.open(this))
    ;({ alice, bob, carol } = await threeUsers({ a, b, c }))
    limpet = await stage.limpet({
      synapse: a,
      settings: { catch_up: { threshold_pdus: THRESHOLD, min_age_ms: 500 } },
    })
    room = await alice.createRoom({
      initial_state: [
        { type: 'm.room.history_visibility', state_key: '', content: { history_visibility: 'joined' } },
      ],
    })
    await bob.join(room, a)
    await bob.see(room, await alice.send(room, 'before'))
  })
  after(async function () {
    await stage.clear(this)
  })

  it(`B is stopped, and Alice sends ${COUNT}`, async () => {
    await b.stop()
    for (let i = 0; i < COUNT; i++) {
      sticky.push(await alice.send(room, `sticky ${i}`, { stickyMs: STICKY_MS }))
      await alice.send(room, `and a word on it ${i}`)
    }
    // Whether that makes a gap is decided when B is reached again.
    await until(async () => (await destinationOf(limpet, b)).pending_pdus > THRESHOLD, {
      withinMs: PATIENCE_MS,
      what: 'more to wait for B than is sent whole',
    })
  })

  it('B starts: all of them are in Bob’s /sync', async () => {
    await b.restart()
    await bob.seeAll(room, sticky, MANY_MS)
    tell('B', b)
  })

  it('Carol joins, and nobody says anything more: all of them, from before she came, are in her /sync', async () => {
    // Nothing that A sends reaches C while it joins. Else, out of order, C's Synapse asks A for what lies between, gets it redacted for
    // its history visibility, and that is what it keeps: no sticky event.
    c.gate.cutOff(a.serverName, '/_matrix/federation/v1/send/')
    await carol.join(room, a)
    await knowsWhole(c, room)
    c.gate.heal()
    const seen = await carol.seeAll(room, sticky, MANY_MS)
    for (const event of seen) expect(event.msc4354_sticky).to.deep.equal({ duration_ms: STICKY_MS })
    expect((await stickyHeld(c, sticky)).size).to.equal(COUNT)
    tell('C', c)
  })

  it('they came in Alice’s order, never more than 50 PDUs at once', () => {
    for (const one of [b, c]) {
      const came = arrivedIds(a, one, { roomId: room }).filter((eventId) => sticky.includes(eventId))
      expect(came).to.deep.equal(sticky)
      const sizes = sendsFrom(a, one).map((knock) => pdusOf(knock).length)
      expect(Math.max(...sizes)).to.be.at.most(50)
    }
  })

  it('limpet calls each of them delivered to both', async () => {
    for (const one of [b, c]) {
      const owed = async () => (await destinationOf(limpet, one)).pending_sticky
      await until(async () => (await owed()) === 0, { withinMs: PATIENCE_MS, what: 'limpet to owe nothing' })
      for (const eventId of sticky)
        expect((await fateOf(limpet, eventId, one))?.outcome).to.equal('delivered')
    }
  })

  function tell(name: string, one: Synapse): void {
    const sizes = sendsFrom(a, one)
      .map((knock) => pdusOf(knock).filter((pdu) => pdu['room_id'] === room).length)
      .filter((size) => size > 0)
    say(`transactions to ${name} in the room, PDUs in each: ${sizes.join(', ')}`)
  }
})
