/**
 * A's Redis is only a nudge (contract 6): without it nothing is lost, everything comes, only later.
 *
 * Alice is on homeserver A, for which limpet sends, Bob on B. The Redis is Synapse's too, which loses it as well.
 */
import { expect } from 'chai'
import { until } from '../support/poll.ts'
import { arrivals } from './support/arrivals.ts'
import { type Client, registerClient } from './support/client.ts'
import { say } from './support/homeservers.ts'
import { PATIENCE_MS } from './support/inside.ts'
import type { Limpet } from './support/limpet.ts'
import { fateOf } from './support/records.ts'
import { makeStage } from './support/stage.ts'
import { oneStory } from './support/story.ts'
import type { Synapse } from './support/synapse.ts'
import type { OwnRedis } from '../support/redis.ts'

const AWAY_MS = 60_000
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
  let limpet: Limpet
  const all: string[] = []

  before(async function () {
    ;({ a, b, redisOfA: redis } = await stage.open(this))
    alice = await registerClient(a, 'alice')
    bob = await registerClient(b, 'bob')
    limpet = await stage.limpet({ synapse: a })
    room = await alice.createRoom()
    await bob.join(room, a)
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
    const end = performance.now() + AWAY_MS
    const delays: number[] = []
    while (performance.now() < end) delays.push(...(await say10()))
    all.push(await alice.send(room, 'sticky', { stickyMs: STICKY_MS }))
    tell('without Redis', delays)
    await bob.seeAll(room, all)
  })

  it('it comes back, empty, and everything goes on', async () => {
    await redis.start()
    await until(async () => (await subscribers()) > 0, {
      withinMs: PATIENCE_MS,
      what: 'somebody to subscribe again',
    })
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

  it('each came once, in Alice’s order', () => {
    const came = arrivals(a, b, { roomId: room }).map(({ eventId }) => eventId)
    expect(came.filter((eventId) => all.includes(eventId))).to.deep.equal(all)
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
    const came = () => arrivals(a, b, { roomId: room }).some((arrival) => arrival.eventId === eventId)
    await until(came, { withinMs: PATIENCE_MS, everyMs: 5, what: 'the message to come to B' })
    return performance.now() - start
  }

  function tell(when: string, delays: number[]): void {
    const sorted = [...delays].sort((x, y) => x - y)
    const at = (part: number) => Math.round(sorted[Math.floor((sorted.length - 1) * part)] ?? 0)
    say(`${when}: ${sorted.length} messages, ms to B’s door: median ${at(0.5)}, most ${at(1)}`)
  }

  /** Connections that hear A's channel, as Redis counts them: A's own and limpet's. */
  async function subscribers(): Promise<number> {
    return Number((await redis.command('PUBLISH', a.serverName, 'NOTHING ')).slice(1))
  }
})
