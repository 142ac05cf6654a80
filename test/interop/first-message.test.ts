/**
 * The first message from a real homeserver to another one through limpet.
 *
 * Alice is on homeserver A, whose own federation sender is off; Bob is on B, in a room of Alice's. limpet reads A's
 * database and sends for A.
 */
import { expect } from 'chai'
import { openPool } from '../../src/store/db.ts'
import { until } from '../support/poll.ts'
import { registerClient, type Client, type ClientEvent } from './support/client.ts'
import { type Limpet, startLimpet } from './support/limpet.ts'
import { oneStory } from './support/story.ts'
import { say, startPair } from './support/homeservers.ts'
import type { Synapse } from './support/synapse.ts'

const STICKY_MS = 600_000
/** How long nothing must come in the control. What does come takes a tenth of it. */
const QUIET_MS = 3_000

describe('two Synapses, and limpet in place of the sender of one', function () {
  oneStory(this)
  let a: Synapse
  let b: Synapse
  let alice: Client
  let bob: Client
  let room: string
  let limpet: Limpet | null = null
  const started: Synapse[] = []

  before(async function () {
    ;({ a, b } = await startPair(this))
    started.push(a, b)
    alice = await registerClient(a, 'alice')
    bob = await registerClient(b, 'bob')
    room = await alice.createRoom()
    await bob.join(room, a)
  })
  after(async () => {
    await limpet?.dispose()
    for (const one of started) await one.dispose()
  })
  afterEach(async function () {
    if (this.currentTest?.state !== 'failed') return
    for (const [name, one] of Object.entries({ a, b, limpet }))
      if (one !== null) say(`the end of ${name}'s log:\n${await one.logTail(20)}`)
  })

  it('a message and a sticky event arrive while A sends for itself', async () => {
    await bob.see(room, await alice.send(room, 'by A itself'))
    await bob.see(room, await alice.send(room, 'sticky, by A itself', { stickyMs: STICKY_MS }))
  })

  it('the control: A’s sender off and no limpet: nothing arrives', async () => {
    await a.restart({ senderInstances: ['limpet'] })
    const sent = [
      await alice.send(room, 'nobody carries this'),
      await alice.send(room, 'nor this', { stickyMs: STICKY_MS }),
    ]
    const end = performance.now() + QUIET_MS
    while (performance.now() < end) {
      const seen = await bob.look(room, 500)
      expect(seen.filter((event) => sent.includes(event.event_id))).to.deep.equal([])
    }
  })

  it('with limpet a message and a sticky event arrive, and the sticky one is sticky there', async () => {
    limpet = await startLimpet({ synapse: a })
    const message = await bob.see(room, await alice.send(room, 'through limpet'))
    expect(message.content['body']).to.equal('through limpet')
    const sticky = await bob.see(
      room,
      await alice.send(room, 'sticky, through limpet', { stickyMs: STICKY_MS }),
    )
    expect(sticky.msc4354_sticky).to.deep.equal({ duration_ms: STICKY_MS })
  })

  it('limpet can say what became of the message', async () => {
    const eventId = await alice.send(room, 'and this one is looked up')
    await bob.see(room, eventId)
    await until(async () => (await fateOf(eventId)) === 'delivered', { what: 'limpet to call it delivered' })
  })

  it('what Alice says while limpet is killed arrives when it is back', async () => {
    await limpet!.kill9()
    const sent = await alice.send(room, 'said while limpet was away')
    await limpet!.start()
    await bob.see(room, sent)
  })

  it('B joins a room: what is still sticky there arrives, and what is said from then on', async () => {
    const other = await alice.createRoom()
    const before = await alice.send(other, 'sticky, from before Bob came', { stickyMs: STICKY_MS })
    await bob.join(other, a)
    const after = await alice.send(other, 'welcome')
    await bob.see(other, after)
    const sticky = await bob.see(other, before, 60_000)
    expect(sticky.msc4354_sticky).to.deep.equal({ duration_ms: STICKY_MS })
  })

  it('B leaves: what is said after that is not for it', async () => {
    await bob.leave(room)
    const hasLeft = (event: ClientEvent) =>
      event.sender === bob.userId && event.content['membership'] === 'leave'
    await until(async () => (await alice.look(room, 250)).some(hasLeft), { what: 'A to hear that Bob left' })
    const sent = await alice.send(room, 'among ourselves')
    await until(async () => (await fateOf(sent)) !== 'unknown', { what: 'limpet to have the message' })
    expect(await fateOf(sent)).to.be.oneOf(['not_entitled', 'not listed'])
  })

  it('limpet stops when it is asked to, and will not read a schema that nobody verified', async () => {
    expect(await limpet!.stop()).to.equal(0)
    await a.stop()
    const pool = openPool({ url: a.databaseUrl })
    await pool.query('update schema_version set version = version + 1')
    await pool.end()
    expect(await limpet!.startInVain()).to.equal(2)
    expect(await limpet!.logTail(1)).to.match(
      /sources\.synapse: Synapse's schema version is \d+, .*verified with/,
    )
  })

  /** What became of an event for B, as limpet tells it. */
  async function fateOf(eventId: string): Promise<string> {
    interface Told {
      destinations: { destination: string; outcome: string }[]
    }
    const told = await limpet!.get<Told>(`/v1/events/${encodeURIComponent(eventId)}`).catch(() => null)
    if (told === null) return 'unknown'
    return told.destinations.find(({ destination }) => destination === b.serverName)?.outcome ?? 'not listed'
  }
})
