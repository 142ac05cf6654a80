import { expect } from 'chai'
import { until } from '../support/poll.ts'
import { EMPTIED, itOnOne, STOPS } from './length.ts'
import { EMPTY_QUEUE, figures, outlasted, QUEUES, say, setStage, type Stage } from './stage.ts'
import { receiptUnanswered } from './unanswered.ts'

/** The number of a remote that does as it should. */
const HEALTHY = 3
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

for (const queue of QUEUES) {
  describe(`what is pulled away during traffic, queue on ${queue}`, function () {
    this.timeout(600_000)
    let stage: Stage
    beforeEach(async function () {
      stage = await setStage(this, { queue, edus: true, pauseMs: 30 })
    })
    afterEach(() => stage.remove())
    const itHere = itOnOne(queue)

    const emptyQueue = async () => {
      if (stage.redis !== null) return stage.redis.flush()
      // Under traffic PostgreSQL may choose the TRUNCATE as the victim of a deadlock.
      await until(() => stage.world.pool.query(EMPTY_QUEUE), { what: 'the tables to be emptied' })
    }

    it(`the queue is emptied ${EMPTIED} times: everything arrives all the same, found by the sweep`, async () => {
      const { remotes, traffic, random } = stage
      remotes.forEach((remote) => remote.behave({ kind: 'ok' }))
      const processes = await Promise.all([stage.startIngest(), stage.startDeliver(), stage.startDeliver()])
      const running = traffic.run()
      for (let time = 0; time < EMPTIED / 2; time += 1) {
        await pause(100 + 400 * random())
        await emptyQueue()
      }
      traffic.stop()
      await running
      await stage.settled()
      // The worst moment: the wakes are in the queue, and nothing comes after them.
      let longest = 0
      for (let time = 0; time < EMPTIED / 2; time += 1) {
        const event = stage.world.event('!room0:home.example', {
          item: { to: remotes.map((remote) => remote.serverName) },
        })
        expect(await stage.post([event.item])).to.equal(200)
        await emptyQueue()
        const emptied = performance.now()
        for (const remote of remotes)
          await until(() => remote.received.has(event.eventId), { what: 'the event' })
        longest = Math.max(longest, performance.now() - emptied)
      }
      say(
        `${EMPTIED} times emptied, ${figures(remotes).transactions} transactions; longest wait ${Math.round(longest)} ms`,
      )
      await Promise.all(processes.map((limpet) => limpet.terminate()))
    })

    itHere(
      `PostgreSQL restarts (immediate) ${STOPS} times: what was acknowledged arrives, the rest is answered with an error, and what is unanswered goes again under its id`,
      async () => {
        const { traffic, server, random, address, remotes } = stage
        const processes = await Promise.all([stage.startIngest(), stage.startDeliver(), stage.startDeliver()])
        const pids = processes.map((limpet) => limpet.pid())
        const running = traffic.run()
        for (let time = 0; time < STOPS; time += 1) {
          await pause(500 + 1_000 * random())
          const unanswered = await receiptUnanswered(remotes[HEALTHY]!)
          await server.stop('immediate')
          const answer = await fetch(`${address}/v1/ingest/position`, {
            headers: { authorization: 'Bearer ingest-token' },
          })
          expect(answer.status).to.equal(503)
          await pause(500)
          const since = Date.now()
          await server.start()
          await unanswered.comesAgain(since)
        }
        await pause(1_000)
        const refused = await outlasted(stage, { running, processes, pids })
        say(
          `${STOPS} restarts, refusals: ${refused}, ${figures(stage.remotes).repeats} repeats, seed ${stage.seed}`,
        )
        await Promise.all(processes.map((limpet) => limpet.terminate()))
      },
    )

    it('PostgreSQL is stopped (immediate) and those that deliver are killed, with a receipt in an unanswered transaction: the same bytes go again under the same id', async () => {
      const { traffic, server, remotes } = stage
      const ingest = await stage.startIngest()
      const before = await Promise.all([stage.startDeliver(), stage.startDeliver()])
      const running = traffic.run()
      await until(() => remotes[HEALTHY]!.requests > 5, { what: 'traffic' })
      const unanswered = await receiptUnanswered(remotes[HEALTHY]!)
      await Promise.all([server.stop('immediate'), ...before.map((limpet) => limpet.kill())])
      const since = Date.now()
      await server.start()
      const deliver = await stage.startDeliver()
      await unanswered.comesAgain(since)
      traffic.stop()
      await running
      await stage.settled()
      const { transactions, repeats, edus } = figures(remotes)
      say(`${transactions} transactions with ${edus} EDUs, ${repeats} repeats, seed ${stage.seed}`)
      await Promise.all([ingest, deliver].map((limpet) => limpet.terminate()))
    })
  })
}

describe('a database that was restored from an older copy', function () {
  this.timeout(600_000)
  let stage: Stage
  beforeEach(async function () {
    stage = await setStage(this, { queue: 'PostgreSQL', edus: true, pauseMs: 20 })
  })
  afterEach(() => stage.remove())

  it('sends under new ids: none is used twice for other bytes, and what comes after arrives', async () => {
    const { world, remotes, traffic, server } = stage
    remotes.forEach((remote) => remote.behave({ kind: 'ok' }))
    const all = async () => Promise.all([stage.startIngest(), stage.startDeliver()])
    let processes = await all()
    const running = traffic.run()
    await pause(1_500)
    await Promise.all(processes.map((limpet) => limpet.kill()))
    await server.stop()
    const copy = server.backUp()
    await server.start()
    processes = await all()
    await pause(1_500)
    traffic.stop()
    await running
    await stage.settled()
    await Promise.all(processes.map((limpet) => limpet.terminate()))
    await server.stop()
    copy.restore()
    await server.start()
    const before = remotes.map(({ transactions }) => transactions.length)
    const limpets = await all()
    const event = world.event('!room0:home.example', {
      item: { to: remotes.map(({ serverName }) => serverName) },
    })
    await until(async () => (await stage.post([event.item])) === 200, { what: 'ingest to take an event' })
    for (const [index, remote] of remotes.entries()) {
      await until(() => remote.received.has(event.eventId), { what: 'the event' })
      // The strict remote notices an id that comes again with other bytes.
      expect(remote.violations).to.deep.equal([])
      expect(remote.transactions.length).to.be.greaterThan(before[index]!)
    }
    say(`${figures(remotes).transactions} transactions`)
    await Promise.all(limpets.map((limpet) => limpet.terminate()))
  })
})
