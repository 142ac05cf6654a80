/**
 * Half-open sockets: a peer that keeps its connections and says nothing any more, no end and no reset, in each of the
 * three places where limpet has peers. It notices within a bounded time, others don't notice, and when the peer
 * can be reached again it goes on by itself.
 */
import { expect } from 'chai'
import { systemClock } from '../../src/pace/clock.ts'
import { startFakeHomeserver } from '../../src/simulate/fleet/fake-homeserver.ts'
import { loopbackAuthority, OURS, type World } from '../e2e/world.ts'
import { until } from '../support/poll.ts'
import { startRoughProxy, type RoughProxy } from '../support/rough-proxy.ts'
import { AT_LENGTH, itAtLength } from './length.ts'
import { behind, figures, QUEUES, say, setStage, type Stage } from './stage.ts'

const portOf = (url: string) => Number(new URL(url).port)
describe('a peer that falls silent during traffic', function () {
  this.timeout(600_000)
  let proxy: RoughProxy
  let stage: Stage
  beforeEach(async () => {
    proxy = await startRoughProxy()
  })
  afterEach(async () => {
    await stage.remove()
    await proxy.close()
  })

  /** Resolves when every remote but `except` has answered more requests than now. */
  async function goesOn(what: string, except?: string): Promise<void> {
    const others = stage.remotes.filter(({ serverName }) => serverName !== except)
    const before = new Map(others.map((remote) => [remote, remote.received.size]))
    for (const remote of others)
      await until(() => remote.received.size > before.get(remote)! + 5, {
        what: `${remote.serverName} to get more ${what}`,
        withinMs: 120_000,
      })
  }

  it('a remote: its requests time out, others go on, and it gets everything once it speaks again', async function () {
    const federation = { request_timeout_ms: 2_000, connect_timeout_ms: 2_000 }
    stage = await setStage(this, {
      queue: 'PostgreSQL',
      remotes: 4,
      settings: () => ({ federation }),
      makeRemote: (world, index) => (index === 3 ? remoteBehind(proxy, world) : world.remote()),
    })
    const quiet = stage.remotes[3]!
    const processes = await Promise.all([stage.startIngest(), stage.startDeliver()])
    const running = stage.traffic.run()
    await goesOn('at first')
    proxy.goSilent()
    await until(async () => (await failuresOf(stage, quiet.serverName)) >= 2, { what: 'two time-outs' })
    await goesOn('while one is silent', quiet.serverName)
    proxy.speak()
    await goesOn('when it speaks')
    stage.traffic.stop()
    await running
    await stage.settled()
    await quiet.stop()
    expect([...stage.traffic.refusals]).to.deep.equal([])
    await Promise.all(processes.map((limpet) => limpet.terminate()))
  })

  itAtLength(
    'PostgreSQL, for one process: the others serve what it had, and it works again afterwards',
    async function () {
      stage = await setStage(this, { queue: 'Redis', pauseMs: 30 })
      const { traffic, server } = stage
      proxy.forwardTo(portOf(server.url))
      const cut = await stage.startDeliver({ LIMPET_DATABASE: behind(proxy, server.url) })
      const [ingest, other] = await Promise.all([stage.startIngest(), stage.startDeliver()])
      const running = traffic.run()
      await goesOn('at first')
      proxy.goSilent()
      const silentAt = performance.now()
      await goesOn('while one process is cut off')
      say(`the other one serves all after ${Math.round(performance.now() - silentAt)} ms`)
      proxy.speak()
      const spoke = performance.now()
      const workers = 'select count(*)::int as n from workers where lease_until > now_ms()'
      await until(async () => (await stage.world.pool.query<{ n: number }>(workers)).rows[0]!.n === 2, {
        what: 'both processes to have a lease',
        withinMs: 240_000,
      })
      say(`a lease again after ${Math.round(performance.now() - spoke)} ms`)
      await other.kill()
      const killedAt = performance.now()
      await goesOn('from the one that was cut off')
      say(`it serves all after ${Math.round(performance.now() - killedAt)} ms`)
      traffic.stop()
      await running
      await stage.settled()
      expect([...traffic.refusals]).to.deep.equal([])
      say(`${figures(stage.remotes).repeats} repeats, seed ${stage.seed}`)
      await Promise.all([ingest, cut].map((limpet) => limpet.terminate()))
    },
  )

  for (const queue of AT_LENGTH ? QUEUES : (['Redis'] as const))
    it(`PostgreSQL, for all (queue on ${queue}): ingest says so, and everything goes on when it speaks again`, async function () {
      stage = await setStage(this, {
        queue,
        pauseMs: 30,
        settings: ({ database }) => ({ database: behind(proxy, database) }),
      })
      const { traffic, server } = stage
      proxy.forwardTo(portOf(server.url))
      const processes = await Promise.all([stage.startIngest(), stage.startDeliver(), stage.startDeliver()])
      const running = traffic.run()
      await goesOn('at first')
      proxy.goSilent()
      const silentAt = performance.now()
      await until(() => traffic.refusals.size > 0, { what: 'ingest to refuse', withinMs: 240_000 })
      say(
        `ingest refused after ${Math.round(performance.now() - silentAt)} ms: ${[...traffic.refusals].join(' ')}`,
      )
      proxy.speak()
      const spoke = performance.now()
      const before = traffic.taken
      await until(() => traffic.taken > before, { what: 'ingest to take', withinMs: 240_000 })
      say(`ingest takes again after ${Math.round(performance.now() - spoke)} ms`)
      await goesOn('when it speaks')
      say(`delivery after ${Math.round(performance.now() - spoke)} ms`)
      traffic.stop()
      await running
      await stage.settled()
      for (const status of traffic.refusals.keys()) expect(status).to.be.oneOf([503, 409])
      say(
        `${figures(stage.remotes).repeats} repeats, refusals ${[...traffic.refusals].join(' ')}, seed ${stage.seed}`,
      )
      await Promise.all(processes.map((limpet) => limpet.terminate()))
    })

  itAtLength(
    'Redis: ingest answers 200, delivery goes on, and the queue is used again when it speaks',
    async function () {
      stage = await setStage(this, {
        queue: 'Redis',
        pauseMs: 30,
        settings: ({ redis }) => ({ queue: behind(proxy, redis!) }),
      })
      const { traffic, redis } = stage
      proxy.forwardTo(redis!.port)
      const processes = await Promise.all([stage.startIngest(), stage.startDeliver(), stage.startDeliver()])
      const running = traffic.run()
      await goesOn('at first')
      proxy.goSilent()
      await goesOn('while Redis is silent')
      proxy.speak()
      await goesOn('when it speaks')
      traffic.stop()
      await running
      await stage.settled()
      expect([...traffic.refusals]).to.deep.equal([])
      say(`${figures(stage.remotes).repeats} repeats, seed ${stage.seed}`)
      await Promise.all(processes.map((limpet) => limpet.terminate()))
    },
  )
})

/** A strict remote that is reached through the proxy only, and named after it. */
async function remoteBehind(proxy: RoughProxy, { key }: World) {
  const { tls } = await loopbackAuthority()
  const remote = await startFakeHomeserver({
    tls,
    origin: OURS,
    verifyKey: (id) => (id === key.keyId ? key.publicKey : null),
    clock: systemClock,
    name: `127.0.0.1:${proxy.port}`,
  })
  proxy.forwardTo(remote.port)
  return remote
}

async function failuresOf({ world }: Stage, name: string): Promise<number> {
  const sql = 'select failures::int as failures from destinations where name = $1'
  return (await world.pool.query<{ failures: number }>(sql, [name])).rows[0]?.failures ?? 0
}
