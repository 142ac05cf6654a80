import { expect } from 'chai'
import { until } from '../support/poll.ts'
import { figures, say, setStage, type Stage } from './stage.ts'

/** Five sweeps: whoever is served without a queue is found by then. */
const AWAY_MS = 5_000

describe('a Redis that is away during traffic', function () {
  this.timeout(240_000)
  let stage: Stage
  beforeEach(async function () {
    stage = await setStage(this, { queue: 'Redis', pauseMs: 30 })
  })
  afterEach(() => stage.remove())

  it('costs time and nothing else: ingest answers 200, delivery goes on by the sweep, and all by itself when it is back', async () => {
    const { traffic, redis, remotes } = stage
    const requests = () => remotes.reduce((sum, remote) => sum + remote.requests, 0)
    const taken = () => [...traffic.expected.values()].reduce((sum, { length }) => sum + length, 0)
    const processes = await Promise.all([stage.startIngest(), stage.startDeliver(), stage.startDeliver()])
    const pids = processes.map((limpet) => limpet.pid())
    const running = traffic.run()
    await until(() => requests() > 20, { what: 'traffic' })
    await redis?.kill()
    const before = { taken: taken(), requests: requests() }
    await new Promise((resolve) => setTimeout(resolve, AWAY_MS))
    const meanwhile = { taken: taken() - before.taken, requests: requests() - before.requests }
    await redis?.start()
    traffic.stop()
    await running
    await stage.settled(60_000)
    expect(meanwhile.taken, 'owed by what was taken meanwhile').to.be.above(20)
    expect(meanwhile.requests, 'requests meanwhile').to.be.above(0)
    expect([...traffic.refusals], 'answers other than 200').to.deep.equal([])
    expect(processes.map((limpet) => limpet.pid())).to.deep.equal(pids)
    say(
      `${AWAY_MS} ms away: ${meanwhile.requests} requests meanwhile, ${figures(remotes).transactions} transactions in all, seed ${stage.seed}`,
    )
    expect(await Promise.all(processes.map((limpet) => limpet.terminate()))).to.deep.equal([0, 0, 0])
  })
})
