/** A Redis that is killed during traffic: the database remembers, the sweep finds. */
import { expect } from 'chai'
import { until } from '../support/poll.ts'
import { figures, say, setStage, type Stage } from './stage.ts'

describe('a Redis that is away during traffic', function () {
  this.timeout(600_000)
  let stage: Stage
  beforeEach(async function () {
    stage = await setStage(this, { queue: 'Redis', pauseMs: 30 })
  })
  afterEach(() => stage.remove())

  it('costs time and nothing else: ingest answers 200, delivery goes on by the sweep, and all by itself when it is back', async () => {
    const { traffic, redis, remotes } = stage
    const requests = () => remotes.reduce((sum, remote) => sum + remote.requests, 0)
    const processes = await Promise.all([stage.startIngest(), stage.startDeliver(), stage.startDeliver()])
    const pids = processes.map((limpet) => limpet.pid())
    const running = traffic.run()
    await until(() => requests() > 20, { what: 'traffic' })
    await redis?.kill()
    const since = performance.now()
    const before = { taken: traffic.taken, requests: requests() }
    // More than can have been under way: what is served now was found without a queue.
    await until(() => traffic.taken > before.taken + 20 && requests() > before.requests + 100, {
      what: 'ingest and delivery to go on without Redis',
    })
    const away = Math.round(performance.now() - since)
    await redis?.start()
    traffic.stop()
    await running
    await stage.settled()
    expect([...traffic.refusals], 'answers other than 200').to.deep.equal([])
    expect(processes.map((limpet) => limpet.pid())).to.deep.equal(pids)
    say(`${away} ms away, ${figures(remotes).transactions} transactions in all, seed ${stage.seed}`)
    expect(await Promise.all(processes.map((limpet) => limpet.terminate()))).to.deep.equal([0, 0, 0])
  })
})
