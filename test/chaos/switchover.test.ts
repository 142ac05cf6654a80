/**
 * A database or a queue whose primary moves: the old one is back as a standby that answers and accepts no writes, and the
 * address leads to it for a while before it leads to the new one. Connections that were opened meanwhile lead to the
 * old one for good, unless limpet drops them.
 */
import { expect } from 'chai'
import { quietPort } from '../support/port.ts'
import { query } from '../../src/embedded/postmaster.ts'
import { until } from '../support/poll.ts'
import { type OwnServer } from '../support/postgres.ts'
import { ownRedis, type OwnRedis } from '../support/redis.ts'
import { startRoughProxy, type RoughProxy } from '../support/rough-proxy.ts'
import { askWhetherReady, type Readiness } from './readiness.ts'
import { behind, outlasted, say, setStage, type Stage } from './stage.ts'
import { receiptUnanswered } from './unanswered.ts'

/** What the operator is promised. */
const GONE_WITHIN_MS = 30_000
const portOf = ({ url }: { url: string }) => Number(new URL(url).port)

describe('a primary that moves during traffic', function () {
  this.timeout(600_000)
  let address: RoughProxy
  let stage: Stage
  let ready: Readiness | undefined
  let next: { remove(): Promise<void> } | undefined
  beforeEach(async () => {
    address = await startRoughProxy()
  })
  afterEach(async () => {
    await ready?.stop()
    await stage.remove()
    await next?.remove()
    await address.close()
    ready = next = undefined
  })

  const requests = () => stage.remotes.reduce((sum, remote) => sum + remote.requests, 0)
  const allStart = () => Promise.all([stage.startIngest(), stage.startDeliver(), stage.startDeliver()])

  /** Resolves when a 200 was given to a question of after `since`, and something is taken right then. */
  async function readyAgain(asked: Readiness, since: number): Promise<void> {
    await until(() => asked.said(200, since).length > 0, { what: 'to be ready', withinMs: GONE_WITHIN_MS })
    const event = stage.world.event('!room0:home.example', { item: { to: [] } })
    expect(await stage.post([event.item]), 'ingest, once it says that it is ready').to.equal(200)
    say(`ready ${Math.round(performance.now() - since)} ms after the address moved`)
  }

  it('PostgreSQL: no connection stays on the old one, readiness tells the truth, nothing is lost, and what is unanswered goes again under its id', async function () {
    stage = await setStage(this, {
      queue: 'PostgreSQL',
      edus: true,
      remotes: 4,
      pauseMs: 30,
      settings: ({ database }) => ({ database: behind(address, database) }),
    })
    const { server: old, traffic } = stage
    address.forwardTo(portOf(old))
    const processes = await allStart()
    const pids = processes.map((limpet) => limpet.pid())
    const running = traffic.run()
    await until(() => requests() > 30, { what: 'traffic' })
    const asked = (ready = askWhetherReady(stage.address))
    await until(() => asked.said(200, 0).length > 0, { what: 'to be ready at first' })

    const unanswered = await receiptUnanswered(stage.remotes[3]!)
    await old.stop()
    const stoppedAt = performance.now()
    const copy = old.clone()
    const port = await quietPort()
    old.follow(port)
    await old.start()
    const backAt = performance.now()
    await until(() => asked.since(backAt).length > 20, {
      what: 'answers while the address leads to the standby',
    })
    const lied = asked.said(200, stoppedAt).length
    next = await copy.start(port)
    const since = Date.now()
    address.forwardTo(port)
    const movedAt = performance.now()

    await until(async () => (await sessions(old)) === 0, {
      what: 'nobody to be connected to the old one',
      withinMs: GONE_WITHIN_MS,
    })
    say(`the old one was left after ${Math.round(performance.now() - movedAt)} ms`)
    await readyAgain(asked, movedAt)
    await unanswered.comesAgain(since)
    const refused = await outlasted(stage, { running, processes, pids })
    expect(lied, 'times that it said to be ready while nothing could be written').to.equal(0)
    expect(await sessions(old), 'connected to the old one in the end').to.equal(0)
    say(`refusals: ${refused}; seed ${stage.seed}`)
    await Promise.all(processes.map((limpet) => limpet.terminate()))
  })

  it('Redis: no connection stays on the old one, readiness tells the truth, ingest answers 200 all the while', async function () {
    stage = await setStage(this, {
      queue: 'Redis',
      edus: true,
      remotes: 4,
      pauseMs: 30,
      settings: ({ redis }) => ({ queue: behind(address, redis!) }),
    })
    const { traffic } = stage
    const old = stage.redis!
    const other = await ownRedis(this)
    next = other
    address.forwardTo(old.port)
    await follow(other, old)
    const processes = await allStart()
    const pids = processes.map((limpet) => limpet.pid())
    const running = traffic.run()
    await until(() => requests() > 30, { what: 'traffic' })
    const asked = (ready = askWhetherReady(stage.address))
    await until(() => asked.said(200, 0).length > 0, { what: 'to be ready at first' })

    await other.command('REPLICAOF', 'NO', 'ONE')
    await follow(old, other)
    const demotedAt = performance.now()
    await until(() => asked.since(demotedAt).length > 20, {
      what: 'answers while the address leads to a replica',
    })
    const lied = asked.said(200, demotedAt).length
    address.forwardTo(other.port)
    const movedAt = performance.now()

    await until(async () => (await old.clients()).length === 0, {
      what: 'nobody to be connected to the old one',
      withinMs: GONE_WITHIN_MS,
    })
    say(`the old one was left after ${Math.round(performance.now() - movedAt)} ms`)
    await readyAgain(asked, movedAt)
    const refused = await outlasted(stage, { running, processes, pids })
    expect(lied, 'times that it said to be ready while nothing could be written').to.equal(0)
    expect(await old.clients(), 'connected to the old one in the end').to.deep.equal([])
    expect(refused).to.equal('none')
    await Promise.all(processes.map((limpet) => limpet.terminate()))
  })
})

/** Our connections to it. */
async function sessions({ url }: OwnServer): Promise<number> {
  const sql = `select count(*)::int as n from pg_stat_activity where application_name like 'limpet%'`
  return query(url, async (client) => (await client.query<{ n: number }>(sql)).rows[0]!.n)
}

/** Resolves when `one` is a replica of `master` and has all of it. */
async function follow(one: OwnRedis, master: OwnRedis): Promise<void> {
  await one.command('REPLICAOF', '127.0.0.1', String(master.port))
  await until(async () => (await one.command('EVAL', LINK_UP, '0')) === ':1', {
    what: 'the replica to be up to date',
  })
}

const LINK_UP = `return string.find(redis.call('INFO', 'replication'), 'master_link_status:up') and 1 or 0`
