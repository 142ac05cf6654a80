/** The queue moves from PostgreSQL to Redis and back while traffic goes on: one process after the other, as an operator does it. */
import { expect } from 'chai'
import type { Daemon } from '../../src/daemon/daemon.ts'
import { until } from '../support/poll.ts'
import { sharedRedis, type Redis } from '../support/redis.ts'
import { makeWorld, type World } from './world.ts'

describe('a queue that is changed under traffic', () => {
  let redis: Redis
  let world: World
  before(async function () {
    redis = await sharedRedis(this)
    await redis.flush()
    world = await makeWorld()
  })
  after(() => world.stop())

  it('PostgreSQL to Redis and back: everything arrives once, in order, and nothing under an id that was used', async () => {
    const rooms = ['!one:home.example', '!two:home.example']
    const remotes = await Promise.all([world.remote(), world.remote(), world.remote()])
    const startOn = (queue: typeof world.config.queue): Promise<Daemon> =>
      world.start(undefined, { ...world.config, queue })
    const queues = [
      { kind: 'postgres' as const },
      { kind: 'redis' as const, urls: [redis.url] },
      { kind: 'postgres' as const },
    ]
    let daemon = await startOn({ kind: 'postgres' })
    await world.ingest(
      rooms.map((room_id) => ({
        type: 'servers',
        room_id,
        add: remotes.map(({ serverName }) => serverName),
      })),
    )
    const sent: string[] = []
    const over = new AbortController()
    const traffic = (async () => {
      while (!over.signal.aborted) {
        const events = rooms.map((room) => world.event(room))
        // To whichever process took over last.
        await world.ingest(events.map(({ item }) => item))
        sent.push(...events.map(({ eventId }) => eventId))
        // As fast as they take it: the test is about the change, not about a backlog.
        await until(() => remotes[0].received.has(sent.at(-1) ?? ''), { what: 'the last event' })
      }
    })()
    for (const queue of queues.slice(1)) {
      const before = sent.length
      await until(() => sent.length > before + 10, { what: 'traffic on the old queue' })
      const next = await startOn(queue)
      const both = sent.length
      await until(() => sent.length > both + 10, { what: 'traffic while both run' })
      await daemon.stop()
      daemon = next
      const alone = sent.length
      await until(() => remotes.every((remote) => remote.received.has(sent[alone] ?? '')), {
        what: 'what came when the new queue was alone',
      })
    }
    over.abort()
    await traffic
    await until(() => remotes.every((remote) => sent.every((id) => remote.received.has(id))), {
      what: 'everything',
    })
    for (const remote of remotes) {
      expect([...remote.received.keys()], 'in order').to.deep.equal(sent)
      expect(remote.violations).to.deep.equal([])
      expect(
        remote.transactions.flatMap(({ pduIds }) => pduIds),
        'once each',
      ).to.have.length(sent.length)
    }
    await daemon.stop()
  })
})
