/**
 * A's Redis is only a nudge (contract 6): without it nothing is lost, everything comes, only later.
 *
 * Alice is on homeserver A, for which limpet sends, Bob on B. The Redis is Synapse's too: while it is away, Synapse stores
 * what Alice says but answers her only when it is back. Bob has it long before that.
 */
import { expect } from 'chai'
import { isJsonObject } from '../../src/matrix/json-value.ts'
import { until } from '../support/poll.ts'
import { arrivedIds, sendsFrom } from './support/arrivals.ts'
import { type Client, registerClient } from './support/client.ts'
import { pdusOf } from './support/gate.ts'
import { say } from './support/homeservers.ts'
import { PATIENCE_MS } from './support/inside.ts'
import type { Limpet } from './support/limpet.ts'
import { fateOf } from './support/records.ts'
import { makeStage } from './support/stage.ts'
import { oneStory } from './support/story.ts'
import type { Synapse } from './support/synapse.ts'
import type { OwnRedis } from '../support/redis.ts'

const AWAY_MS = 60_000
/** A request that waits for Redis blocks its room in the end: so each message has a room of its own. */
const ROOMS = 10
const STICKY_MS = 900_000

describe('A’s Redis goes away', function () {
  oneStory(this)
  const stage = makeStage()
  let a: Synapse
  let b: Synapse
  let redis: OwnRedis
  let alice: Client
  let bob: Client
  let room: string
  let rooms: string[]
  let limpet: Limpet
  /** In the first room. */
  const all: string[] = []
  const unanswered: { room: string; saying: Promise<string> }[] = []

  before(async function () {
    ;({ a, b, redisOfA: redis } = await stage.open(this))
    alice = await registerClient(a, 'alice')
    bob = await registerClient(b, 'bob')
    limpet = await stage.limpet({ synapse: a })
    room = await alice.createRoom()
    rooms = await Promise.all(Array.from({ length: ROOMS }, () => alice.createRoom()))
    for (const one of [room, ...rooms]) await bob.join(one, a)
    await saysPromptly('before')
  })
  after(async function () {
    await stage.clear(this)
  })

  it('with Redis, what Alice says is at B’s door at once', async () => {
    tell('with Redis', await say10())
  })

  it(`for ${AWAY_MS / 1000} s it is gone: all that Alice says meanwhile arrives, a sticky event too`, async () => {
    await redis.kill()
    const start = performance.now()
    const delays: number[] = []
    for (const [i, one] of rooms.entries()) {
      const body = `without Redis, ${i}`
      unanswered.push({ room: one, saying: alice.send(one, body, { stickyMs: STICKY_MS }) })
      const said = performance.now()
      await until(() => bodiesAt(b).has(body), {
        withinMs: PATIENCE_MS,
        everyMs: 5,
        what: 'the message to come to B',
      })
      delays.push(performance.now() - said)
      // Spread over the time that Redis is away.
      await until(() => performance.now() - start > (AWAY_MS * (i + 1)) / ROOMS, {
        withinMs: AWAY_MS,
        what: 'the time of the next message',
      })
    }
    tell('without Redis', delays)
  })

  it('it comes back, empty, and everything goes on', async () => {
    await redis.start()
    await until(async () => (await subscribers()) > 0, {
      withinMs: PATIENCE_MS,
      what: 'somebody to subscribe again',
    })
    for (const { room: one, saying } of unanswered) {
      const seen = await bob.see(one, await saying)
      expect(seen.msc4354_sticky).to.deep.equal({ duration_ms: STICKY_MS })
    }
    tell('with Redis again', await say10())
  })

  it('A and limpet are started without any Redis: nothing is lost, only later', async () => {
    await limpet.stop()
    await a.restart({ redisUrl: null })
    const unheard = await alice.send(room, 'while limpet is stopped')
    all.push(unheard)
    const without = await stage.limpet({ synapse: a, databaseUrl: limpet.databaseUrl, redis: false })
    await bob.see(room, unheard)
    tell('without any Redis', await say10())
    all.push(await alice.send(room, 'sticky', { stickyMs: STICKY_MS }))
    await bob.seeAll(room, all)
    for (const eventId of all) {
      await until(async () => (await fateOf(without, eventId, b))?.outcome === 'delivered', {
        withinMs: PATIENCE_MS,
        what: 'limpet to call it delivered',
      })
    }
  })

  it('each came, in Alice’s order', () => {
    expect(arrivedIds(a, b, { roomId: room }).filter((eventId) => all.includes(eventId))).to.deep.equal(all)
  })

  /** Alice says ten things, each after the one before has come to B's gate; resolves to how long each took, in milliseconds. */
  async function say10(): Promise<number[]> {
    const delays: number[] = []
    for (let i = 0; i < 10; i++) delays.push(await saysPromptly(`message ${all.length}`))
    return delays
  }

  async function saysPromptly(body: string): Promise<number> {
    const eventId = await alice.send(room, body)
    const start = performance.now()
    all.push(eventId)
    const came = () => arrivedIds(a, b, { roomId: room }).includes(eventId)
    await until(came, { withinMs: PATIENCE_MS, everyMs: 5, what: 'the message to come to B' })
    return performance.now() - start
  }

  function tell(when: string, delays: number[]): void {
    const sorted = [...delays].sort((x, y) => x - y)
    const at = (part: number) => Math.round(sorted[Math.floor((sorted.length - 1) * part)] ?? 0)
    say(`${when}: ${sorted.length} messages, ms to B’s door: median ${at(0.5)}, most ${at(1)}`)
  }

  /** What the messages say that B got from A. */
  function bodiesAt(server: Synapse): Set<unknown> {
    const contents = sendsFrom(a, server).flatMap((knock) => pdusOf(knock).map((pdu) => pdu['content']))
    return new Set(contents.map((content) => (isJsonObject(content) ? content['body'] : undefined)))
  }

  /** Connections that hear A's channel, as Redis counts them: A's own and limpet's. */
  async function subscribers(): Promise<number> {
    return Number((await redis.command('PUBLISH', a.serverName, 'NOTHING ')).slice(1))
  }
})
