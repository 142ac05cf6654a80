/**
 * C joins a room of A's through B (contract 5.5), and everything comes in the most awkward order.
 *
 * Alice is on homeserver A and Bob on B; a limpet sends for each. Carol, on C, joins through B. A hears of her from B,
 * and what it sends her at once reaches C before C knows the room: it answers 200 and drops it without a word.
 */
import { expect } from 'chai'
import { until } from '../support/poll.ts'
import { arrivals, sendsFrom } from './support/arrivals.ts'
import type { Client } from './support/client.ts'
import type { Hold } from './support/gate.ts'
import { say } from './support/homeservers.ts'
import { knowsWhole, membershipEvent, newestIn, PATIENCE_MS, seesMember } from './support/inside.ts'
import type { Limpet } from './support/limpet.ts'
import { threeUsers } from './support/people.ts'
import { destinationOf, fateOf, unlistedBy } from './support/records.ts'
import { makeStage } from './support/stage.ts'
import { oneStory } from './support/story.ts'
import type { Synapse } from './support/synapse.ts'

const STICKY_MS = 900_000

describe('C joins through B, while the answer to its join is slow', function () {
  oneStory(this)
  const stage = makeStage()
  let a: Synapse
  let b: Synapse
  let c: Synapse
  let alice: Client
  let bob: Client
  let carol: Client
  let room: string
  let limpetOfA: Limpet
  let limpetOfB: Limpet
  let slowAnswer: Hold
  let joining: Promise<void>
  const earlier: string[] = []
  let meanwhile: string

  before(async function () {
    ;({ a, b, c } = await stage.open(this))
    await b.restart({ senderInstances: ['limpet'] })
    ;({ alice, bob, carol } = await threeUsers({ a, b, c }))
    limpetOfA = await stage.limpet({ synapse: a })
    limpetOfB = await stage.limpet({ synapse: b })
    room = await alice.createRoom()
    await bob.join(room, a)
    // Until then B lets nobody in.
    await knowsWhole(b, room)
  })
  after(async function () {
    await stage.clear(this)
  })

  it('Alice says three sticky things, before Carol comes', async () => {
    for (const name of ['one', 'two', 'three'])
      earlier.push(await alice.send(room, name, { stickyMs: STICKY_MS }))
    await bob.seeAll(room, earlier)
  })

  it('Carol joins through B; B’s limpet tells A, and A’s sends her the three before C knows the room', async () => {
    slowAnswer = b.gate.holdAnswer(
      ({ origin, path }) => origin === c.serverName && path.includes('/send_join/'),
    )
    joining = carol.join(room, b)
    await seesMember(a, room, carol.userId, 'join')
    await until(() => answered(earlier).length === earlier.length, {
      withinMs: PATIENCE_MS,
      what: 'C to have answered for the three',
    })
    expect(await membershipEvent(c, room, carol.userId)).to.equal(null)
  })

  it('at that very moment Alice says a fourth; C answers 200 for all and lists none', async () => {
    meanwhile = await alice.send(room, 'four', { stickyMs: STICKY_MS })
    await until(() => answered([meanwhile]).length > 0, {
      withinMs: PATIENCE_MS,
      what: 'C to have answered for the fourth',
    })
    const listed = arrivals(a, c, { roomId: room }).map(({ eventId, listed }) => ({ eventId, listed }))
    expect(listed).to.deep.include({ eventId: meanwhile, listed: false })
    expect(listed.filter((one) => one.listed === true)).to.deep.equal([])
    expect((await fateOf(limpetOfA, meanwhile, c))?.outcome).to.equal('pending')
  })

  it('C’s join is answered, and nobody says anything more: all four are in Carol’s /sync, as sticky', async () => {
    slowAnswer.release()
    await joining
    const seen = await carol.seeAll(room, [...earlier, meanwhile])
    for (const event of seen) expect(event.msc4354_sticky).to.deep.equal({ duration_ms: STICKY_MS })
    expect(await newestIn(a, room)).to.equal(meanwhile)
  })

  it('limpet calls them delivered, the three as a sticky replay, and owes C nothing more', async () => {
    const idle = async () => (await destinationOf(limpetOfA, c)).pending_sticky === 0
    await until(idle, { withinMs: PATIENCE_MS, what: 'limpet to owe C nothing' })
    for (const eventId of [...earlier, meanwhile]) {
      expect((await fateOf(limpetOfA, eventId, c))?.outcome).to.equal('delivered')
    }
    for (const eventId of earlier) expect((await fateOf(limpetOfA, eventId, c))?.as).to.equal('sticky_replay')
    const all = arrivals(a, c, { roomId: room })
    const unlisted = all.filter(({ listed }) => listed === false).length
    say(
      `C left ${unlisted} PDUs of A unlisted and listed ${all.length - unlisted}, in ${sendsFrom(a, c).length} transactions`,
    )
    expect(await unlistedBy(limpetOfA, c)).to.equal(unlisted)
    expect(unlisted).to.be.at.least(4)
  })

  it('the join itself went to A by B’s limpet, on C’s behalf, and not back to C', async () => {
    const join = (await membershipEvent(a, room, carol.userId))?.eventId ?? ''
    expect(arrivals(b, a, { roomId: room }).map(({ eventId }) => eventId)).to.include(join)
    expect(arrivals(b, c, { roomId: room }).map(({ eventId }) => eventId)).not.to.include(join)
    expect((await fateOf(limpetOfB, join, a))?.outcome).to.equal('delivered')
    expect((await fateOf(limpetOfB, join, c))?.outcome ?? 'not listed').to.be.oneOf([
      'not_entitled',
      'not listed',
    ])
  })

  /** Arrivals of these events at C that C has answered. */
  function answered(eventIds: readonly string[]) {
    const all = arrivals(a, c, { roomId: room })
    return all.filter(({ eventId, listed }) => eventIds.includes(eventId) && listed !== null)
  }
})
