/**
 * A ban that redacts all that its user sent (MSC4293), 5,000 messages: a server that missed them gets none of their texts, one that has left gets
 * nothing, and nobody's ingest waits for it.
 *
 * Alice and Mallory are on homeserver A, for which limpet sends; Bob, on B, is in the room and away; Carol, on C, was there and left.
 */
import { expect } from 'chai'
import { inTransaction, openPool, type Pool } from '../../src/store/db.ts'
import { lockStream } from '../../src/store/stream.ts'
import { until } from '../support/poll.ts'
import { sendsFrom } from './support/arrivals.ts'
import { type Client, registerClient } from './support/client.ts'
import { pdusOf } from './support/gate.ts'
import { say } from './support/homeservers.ts'
import { PATIENCE_MS, seesMember } from './support/inside.ts'
import type { Limpet } from './support/limpet.ts'
import { addMessages } from './support/many-messages.ts'
import { threeUsers } from './support/people.ts'
import { eventIn } from './support/records.ts'
import { makeStage } from './support/stage.ts'
import { oneStory } from './support/story.ts'
import type { Synapse } from './support/synapse.ts'

const COUNT = 5_000
const SECRET = 'what nobody shall read'
/** More than an ingest waited before the ban, on the same machine at the same load. */
const MOST_WAIT_MS = 200

describe(`a ban that redacts ${COUNT} messages`, function () {
  oneStory(this)
  const stage = makeStage()
  let a: Synapse
  let b: Synapse
  let c: Synapse
  let alice: Client
  let bob: Client
  let carol: Client
  let mallory: Client
  let room: string
  let limpet: Limpet
  let ours: Pool

  before(async function () {
    ;({ a, b, c } = await stage.open(this))
    ;({ alice, bob, carol } = await threeUsers({ a, b, c }))
    mallory = await registerClient(a, 'mallory')
    limpet = await stage.limpet({
      synapse: a,
      settings: { catch_up: { threshold_pdus: 50, min_age_ms: 500 } },
    })
    ours = openPool({ url: limpet.databaseUrl, max: 2 })
    room = await alice.createRoom()
    await bob.join(room, a)
    await carol.join(room, a)
    await mallory.join(room)
    await bob.see(room, await alice.send(room, 'before'))
  })
  after(async function () {
    await ours.end()
    await stage.clear(this)
  })

  const textsOf = async (like: string) => {
    const { rows } = await ours.query<{ n: number }>(
      `select count(*) as n from events where sender = $1 and pdu like $2`,
      [mallory.userId, `%${like}%`],
    )
    return rows[0]?.n
  }

  it('Carol leaves, B is stopped, and Mallory writes', async () => {
    await carol.leave(room)
    await seesMember(a, room, carol.userId, 'leave')
    await b.stop()
    const first = await mallory.send(room, SECRET)
    await addMessages(a, { eventId: first, count: COUNT, body: SECRET })
    await alice.send(room, 'what is this?')
    await until(async () => (await textsOf(SECRET)) === COUNT + 1, {
      withinMs: PATIENCE_MS,
      what: 'limpet to hold all of it',
    })
  })

  it('Alice bans Mallory: limpet holds none of the texts any more, and ingest goes on meanwhile', async () => {
    const calm = await longestWait(ours, async () => {
      for (let i = 0; i < 20; i++) await alice.send(room, 'please stop')
    })
    const during = await longestWait(ours, async () => {
      await alice.ban(room, mallory.userId, { 'org.matrix.msc4293.redact_events': true })
      await until(async () => (await textsOf(SECRET)) === 0, {
        withinMs: PATIENCE_MS,
        what: 'limpet to hold none of it',
      })
    })
    say(`the longest that an ingest waited: ${during.ms} ms (${calm.ms} ms before), in ${during.took} ms`)
    expect(during.ms - calm.ms).to.be.lessThan(MOST_WAIT_MS)
    expect(await textsOf('"type":"m.room.message"')).to.equal(COUNT + 1)
  })

  it('B starts: Bob sees the ban and what Alice says after it, and no text of Mallory’s came', async () => {
    await b.restart()
    const last = await alice.send(room, 'that is better')
    await bob.see(room, last)
    await seesMember(b, room, mallory.userId, 'ban')
    const came = sendsFrom(a, b).flatMap(pdusOf)
    expect(came.filter((pdu) => JSON.stringify(pdu).includes(SECRET))).to.deep.equal([])
    const told = await eventIn(limpet, last)
    expect(told?.destinations.map(({ destination, outcome }) => [destination, outcome])).to.deep.equal([
      [b.serverName, 'delivered'],
    ])
  })

  it('C, which has left, was sent nothing of it', () => {
    const sent = sendsFrom(a, c)
      .flatMap(pdusOf)
      .filter((pdu) => pdu['room_id'] === room)
    expect(
      sent.filter((pdu) => pdu['sender'] === mallory.userId && pdu['type'] !== 'm.room.member'),
    ).to.deep.equal([])
    expect(
      sent.filter((pdu) => pdu['type'] === 'm.room.member' && pdu['sender'] === alice.userId),
    ).to.have.length(0)
  })
})

/** How long, at most, somebody who ingests every 50 ms waits for the stream's lock while `work` goes on. */
async function longestWait(pool: Pool, work: () => Promise<void>): Promise<{ ms: number; took: number }> {
  const begun = performance.now()
  const done = work().then(() => true)
  let longest = 0
  for (let ended = false; !ended;) {
    const asked = performance.now()
    await inTransaction(pool, lockStream)
    longest = Math.max(longest, performance.now() - asked)
    ended = await Promise.race([done, new Promise<false>((resolve) => setTimeout(resolve, 50, false))])
  }
  return { ms: Math.round(longest), took: Math.round(performance.now() - begun) }
}
