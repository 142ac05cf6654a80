/**
 * A database that answers slowly, and one that stalls beyond what leases last: whatever arrives late has to find
 * that it is too late. Nothing is lost, nothing goes twice or out of order, and no second id while one is unanswered.
 */
import { expect } from 'chai'
import { until } from '../support/poll.ts'
import { startRoughProxy, type RoughProxy } from '../support/rough-proxy.ts'
import { AT_LENGTH, itAtLength } from './length.ts'
import type { LimpetProcess } from './process.ts'
import { behind, figures, QUEUES, say, setStage, type Stage } from './stage.ts'

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
/** Each way, ms: 50 to 300 for a question and its answer. */
const SLOWLY = { least: 25, most: 150 }
const LEASE_MS = 15_000
/** How often everything stalls; each time beyond the leases and for some seconds more. */
const STALLS = 8
const LONGER_MS = 5_000
/** Longer than a process believes that a silent database is still there. */
const BEYOND_PATIENCE_MS = 20_000

for (const queue of AT_LENGTH ? QUEUES : (['PostgreSQL'] as const)) {
  describe(`a database that is slow during traffic, queue on ${queue}`, function () {
    this.timeout(900_000)
    let proxies: RoughProxy[]
    let stage: Stage
    beforeEach(() => {
      proxies = []
    })
    afterEach(async () => {
      await stage.remove()
      await Promise.all(proxies.map((proxy) => proxy.close()))
    })

    const makeProxy = async () => {
      const proxy = await startRoughProxy()
      proxies.push(proxy)
      return proxy
    }
    const finish = async (processes: readonly LimpetProcess[]) => {
      stage.traffic.stop()
      await stage.settled()
      const lost = processes.reduce((sum, limpet) => sum + limpet.output().split('"lease lost').length - 1, 0)
      const { transactions, repeats, replays } = figures(stage.remotes, stage.traffic.ledger)
      say(
        `${stage.traffic.events} events, ${transactions} transactions, ${repeats} repeats, ${replays} replays, ${lost} leases lost, seed ${stage.seed}`,
      )
      return lost
    }
    const everywhere = async (events: number) => {
      const before = stage.remotes.map(({ received }) => received.size)
      for (const [index, { serverName, received }] of stage.remotes.entries())
        await until(() => received.size >= before[index]! + events, {
          what: `${serverName} to get ${events} more`,
          withinMs: 600_000,
        })
    }

    it('50 to 300 ms an answer: slower, and nothing else', async function () {
      const proxy = await makeProxy()
      stage = await setStage(this, {
        queue,
        remotes: AT_LENGTH ? 8 : 4,
        settings: ({ database }) => ({
          database: behind(proxy, database),
          internal: { lease_ms: LEASE_MS },
        }),
      })
      proxy.forwardTo(Number(new URL(stage.server.url).port))
      const processes = await Promise.all([stage.startIngest(), stage.startDeliver(), stage.startDeliver()])
      const running = stage.traffic.run()
      await everywhere(3)
      proxy.slow(() => SLOWLY.least + (SLOWLY.most - SLOWLY.least) * stage.random())
      await everywhere(AT_LENGTH ? 100 : 10)
      stage.traffic.stop()
      await running
      const lost = await finish(processes)
      expect(lost, 'leases lost').to.equal(0)
      expect([...stage.traffic.refusals]).to.deep.equal([])
      proxy.slow(() => 0)
      await Promise.all(processes.map((limpet) => limpet.terminate()))
    })

    itAtLength(
      `it stalls ${STALLS} times until all leases are over, and then does what it was told before`,
      async function () {
        const proxy = await makeProxy()
        stage = await setStage(this, {
          queue,
          settings: ({ database }) => ({ database: behind(proxy, database) }),
        })
        proxy.forwardTo(Number(new URL(stage.server.url).port))
        const processes = await Promise.all([stage.startIngest(), stage.startDeliver(), stage.startDeliver()])
        const running = stage.traffic.run()
        for (let stall = 0; stall < STALLS; stall += 1) {
          await everywhere(3)
          proxy.hold()
          await leasesLeft(stage, 0)
          await pause(LONGER_MS)
          proxy.release()
        }
        await everywhere(3)
        stage.traffic.stop()
        await running
        await finish(processes)
        await Promise.all(processes.map((limpet) => limpet.terminate()))
      },
    )

    itAtLength(
      'what one process has said arrives only when the other has long taken over',
      async function () {
        stage = await setStage(this, { queue, pauseMs: 30 })
        const { url } = stage.server
        const two = await Promise.all([makeProxy(), makeProxy()])
        two.forEach((proxy) => proxy.forwardTo(Number(new URL(url).port)))
        const processes = await Promise.all([
          stage.startIngest(),
          ...two.map((proxy) => stage.startDeliver({ LIMPET_DATABASE: behind(proxy, url) })),
        ])
        const running = stage.traffic.run()
        for (let stall = 0; stall < STALLS; stall += 1) {
          await everywhere(3)
          const proxy = two[stall % 2]!
          proxy.hold()
          await leasesLeft(stage, 1)
          await everywhere(3)
          // Now and then it has given its connections up before what it said arrives.
          await pause(stall % 4 > 1 ? BEYOND_PATIENCE_MS : 0)
          proxy.release()
        }
        await everywhere(3)
        stage.traffic.stop()
        await running
        await finish(processes)
        await Promise.all(processes.map((limpet) => limpet.terminate()))
      },
    )
  })
}

/** Resolves when at most so many processes have a lease: who is held back can't begin a new one. */
async function leasesLeft({ world }: Stage, count: number): Promise<void> {
  const living = 'select from workers where lease_until > now_ms()'
  await until(async () => (await world.pool.query(living)).rowCount! <= count, { what: 'leases to be over' })
}
