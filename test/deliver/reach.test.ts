/**
 * A place and a connection come first: what a server that is not there costs, and that nobody connects to a server that is
 * owed nothing.
 */
import { expect } from 'chai'
import { makeBodies, type Bodies } from '../../src/deliver/body-memory.ts'
import { makeTogether } from '../../src/deliver/together.ts'
import { makeTurn, type TurnNeeds } from '../../src/deliver/turn.ts'
import { makeLog } from '../../src/observe/log.ts'
import { makeWish } from '../../src/store/delivery/wishes.ts'
import type { Connect, Remotes, SendFailed } from '../../src/wire/send-result.ts'
import { event, makeIngestWorld, servers, sticky, type IngestWorld } from '../ingest/ingest-world.ts'
import { until } from '../support/poll.ts'
import { NOBODY_BLOCKED } from '../support/nobody-blocked.ts'
import { gateOf } from '../support/places.ts'
import { reachable } from '../support/reachable.ts'
import { ANSWERED, holdInTest, takenPlace, UNANSWERED } from './step-stage.ts'

const D = 'd.example:8448'
const REFUSED: SendFailed = {
  ...{ kind: 'failed', stage: 'connect', handed: false, durationMs: 3, status: null },
  ...{ message: 'the connection was refused', retryAfterMs: null, errcode: null },
}

describe('a destination is reached before anything is decided', () => {
  let world: IngestWorld
  beforeEach(async () => {
    world = await makeIngestWorld()
    await world.take([servers({ add: [D] })])
  })
  afterEach(() => world.close())

  /** A server that is not there. */
  function away(): Remotes & { asked: () => number } {
    let asked = 0
    const connect: Connect = () => {
      asked += 1
      return Promise.resolve(REFUSED)
    }
    return { connect, takeIdle: () => null, isConnected: () => false, asked: () => asked }
  }
  const row = async () =>
    (
      await world.rows(
        `select failures, retry_at > now_ms() as waits, last_error->>'kind' as kind, position from destinations`,
      )
    )[0]
  const attempts = () => world.rows('select txn_id, outcome, pdus, message from attempts')

  it('one that is not there costs a question, a connection and a write: no plan, no freeze, and nothing to undo', async () => {
    await world.take([event(), event()])
    const remote = away()
    const d = await holdInTest(world.pool, D, remote)
    expect(await d.step()).to.deep.equal({ kind: 'look again' })
    expect(remote.asked()).to.equal(1)
    expect(d.statements).to.deep.equal(['look at the destination', 'count the timeline', 'end the attempt'])
    expect(await row()).to.deep.equal({ failures: 1, waits: true, kind: 'connect', position: 0 })
    expect(await attempts()).to.deep.equal([
      { txn_id: null, outcome: 'never_left', pdus: 0, message: REFUSED.message },
    ])
    const last = await world.rows('select d.last_attempt = a.at as told from destinations d, attempts a')
    expect(last, 'it is an attempt').to.deep.equal([{ told: true }])
    expect(await world.rows('select from open_transactions')).to.have.length(0)
    expect((await d.step()).kind, 'it is left alone now').to.equal('let go')
    expect(remote.asked()).to.equal(1)
  })

  it('takes its bytes when it is connected and before a text is read, and gives them back with the answer', async () => {
    await world.take([event(), event()])
    const bodies = makeBodies(1_000_000)
    const others = bodies.take({ part: 'recovering', least: 500_000, most: 500_000 })
    let during = 0
    let waits = false
    const enter: Bodies['enter'] = (...given) => {
      waits = true
      return bodies.enter(...given)
    }
    const d = await holdInTest(world.pool, D, {
      bodies: { ...bodies, enter },
      ...reachable(({ body }) => {
        during = bodies.held() - body.length
        return Promise.resolve(ANSWERED)
      }),
    })
    const step = d.step()
    await until(() => waits, { what: 'it to wait for bytes' })
    expect(d.statements, 'it waits').to.deep.equal(['look at the destination'])
    others?.end()
    expect((await step).kind).to.equal('sent')
    expect(d.statements).to.include('read the timeline')
    expect(during, 'as much as its body has').to.equal(0)
    expect(bodies.held()).to.equal(0)
  })

  it('sends what the bytes that are free allow, and the rest after that', async () => {
    // Each another text: two that are made within a millisecond would be one event.
    const large = (letter: string) => event({ content: { body: letter.repeat(40_000) } })
    await world.take(['x', 'y', 'z'].map(large))
    const bodies = makeBodies(1_000_000)
    const others = bodies.take({ part: 'recovering', least: 400_000, most: 400_000 })
    const d = await holdInTest(world.pool, D, { bodies })
    await d.step()
    await d.step()
    expect(d.sent.map(({ pdus }) => pdus.length)).to.deep.equal([2, 1])
    expect(bodies.held()).to.equal(400_000)
    others?.end()
  })

  it('does not read what an unanswered transaction is made of before it is connected', async () => {
    await world.take([event()])
    const d = await holdInTest(
      world.pool,
      D,
      reachable(() => Promise.resolve(UNANSWERED)),
    )
    await d.step()
    await makeWish(world.pool, { wish: 'reset', name: D, who: 'test' })
    const remote = away()
    Object.assign(d.needs, remote)
    d.statements.length = 0
    await d.step()
    expect(remote.asked()).to.equal(1)
    expect(d.statements).to.not.include('read texts')
  })

  it('one that is owed nothing is not connected to, and its position moves on', async () => {
    await world.take([event({ room: '!other:home.example' })])
    const remote = away()
    const d = await holdInTest(world.pool, D, remote)
    const head = await world.value('select head from stream')
    expect(await d.step()).to.deep.equal({ kind: 'let go', lookAt: null, position: head, edus: null })
    expect(remote.asked()).to.equal(0)
  })

  it('nor is one to which a join owes what has lapsed since', async () => {
    await world.take([servers({ remove: [D] }), sticky(), servers({ add: [D] })])
    await world.pool.query('update sticky set expires_at = now_ms() - 1')
    const remote = away()
    const d = await holdInTest(world.pool, D, remote)
    await d.toTheEnd()
    expect(remote.asked()).to.equal(0)
    expect(await world.owed()).to.deep.equal([])
  })

  it('one to which only a replay is owed is', async () => {
    await world.take([servers({ remove: [D] }), sticky(), servers({ add: [D] })])
    const remote = away()
    const d = await holdInTest(world.pool, D, remote)
    await d.step()
    expect(remote.asked()).to.equal(1)
  })

  it('what it owes us an answer for stays as it is while it is not there, and no attempt of it is counted', async () => {
    await world.take([event()])
    let there = true
    const bodies: string[] = []
    const sends = reachable(({ txnId, body }) => {
      bodies.push(`${txnId} ${body.toString()}`)
      return Promise.resolve(bodies.length < 2 ? UNANSWERED : ANSWERED)
    })
    const connect: Connect = (to) => (there ? sends.connect(to) : Promise.resolve(REFUSED))
    const d = await holdInTest(world.pool, D, { connect, takeIdle: () => null, isConnected: () => there })
    await d.step()
    there = false
    const open = () =>
      world.rows<{ txn_id: string }>('select txn_id, attempt, started_at, worker from open_transactions')
    const before = await open()
    await reset()
    expect(await d.step()).to.deep.equal({ kind: 'look again' })
    expect(await open()).to.deep.equal(before)
    const [, second] = await attempts()
    expect(second).to.include({ txn_id: before[0]?.txn_id, outcome: 'failed', pdus: 1 })
    there = true
    await reset()
    await d.toTheEnd()
    expect(bodies).to.have.length(2)
    expect(bodies[1]).to.equal(bodies[0])
  })

  it('one that ended unanswered is dropped without a connection', async () => {
    await world.take([event()])
    const d = await holdInTest(
      world.pool,
      D,
      reachable(() => Promise.resolve(UNANSWERED)),
    )
    await d.step()
    await world.pool.query('update open_transactions set created_at = created_at - 86400001')
    await reset()
    const remote = away()
    Object.assign(d.needs, remote)
    expect(await d.step()).to.deep.equal({ kind: 'look again' })
    expect(remote.asked()).to.equal(0)
    expect(await world.rows('select from open_transactions')).to.have.length(0)
  })

  it('decides by what is so when the connection is there', async () => {
    await world.take([event()])
    const answers = reachable(() => Promise.resolve(ANSWERED))
    const connect: Connect = async (to) => {
      await world.take([event(), event()])
      const ready = await answers.connect(to)
      return { ...ready, wasIdle: false } as typeof ready
    }
    const d = await holdInTest(world.pool, D, { connect, takeIdle: () => null, isConnected: () => false })
    await d.step()
    expect(await row()).to.include({ position: await world.value('select head from stream') })
  })

  it('and not where it was paused meanwhile; the connection is given back', async () => {
    await world.take([event()])
    let given = 0
    const connect: Connect = async () => {
      await makeWish(world.pool, { wish: 'pause', name: D, who: 'test' })
      const send = () => Promise.reject(new Error('nothing is to be sent'))
      return { kind: 'ready', wasIdle: false, connectMs: 1, send, giveBack: () => void (given += 1) }
    }
    const d = await holdInTest(world.pool, D, { connect, takeIdle: () => null, isConnected: () => false })
    expect(await d.step()).to.deep.equal({ kind: 'look again' })
    expect(given).to.equal(1)
    expect(await world.rows('select from open_transactions')).to.have.length(0)
  })

  it('gives way where no place comes free in time', async () => {
    await world.take([event()])
    const { place } = takenPlace()
    const d = await holdInTest(world.pool, D, { ...away(), place, longestWaitMs: 20 })
    expect(await d.step()).to.deep.equal({ kind: 'give way' })
    const lease = { id: d.held.worker, signal: new AbortController().signal, stillHeld: () => true }
    const needs: TurnNeeds = {
      ...d.needs,
      ...makeTogether(world.pool, 1),
      ...{
        running: new Set(),
        blocking: NOBODY_BLOCKED,
        follow: null,
        stopping: new AbortController().signal,
      },
      log: makeLog({ level: 'silent', pretty: false }),
      lease: { next: () => Promise.resolve(lease), over: () => undefined },
    }
    expect((await makeTurn(needs)(D, lease.signal)).again).to.equal(true)
    expect(await world.value('select lease_owner is null from destinations')).to.equal(true)
  })

  // 512 dead servers that let a dial hang had every place for ten seconds, and all others waited for that.
  it('no more are dialled at once than may be, and those that wait for it take no place from one that is connected', async () => {
    await world.take([event()])
    const dialling = takenPlace().place
    const remote = away()
    const d = await holdInTest(world.pool, D, { ...remote, dialling, longestWaitMs: 20 })
    expect(await d.step()).to.deep.equal({ kind: 'give way' })
    expect(remote.asked()).to.equal(0)
    const free = Array.from({ length: 10 }, () => d.needs.place.take('quick'))
    expect(free, 'every place').to.not.include(null)
    for (const leave of free) leave?.()
    Object.assign(
      d.needs,
      reachable(() => Promise.resolve(ANSWERED)),
    )
    expect((await d.step()).kind, 'connected').to.equal('sent')
  })

  it('a dial gives its place up when it has ended, however it ended, and before anything is sent', async () => {
    await world.take([event()])
    const dialling = gateOf(1)
    const remote = away()
    const d = await holdInTest(world.pool, D, { ...remote, dialling, longestWaitMs: 20 })
    expect(await d.step()).to.deep.equal({ kind: 'look again' })
    expect(remote.asked()).to.equal(1)
    await reset()
    let whileSending: unknown = null
    const back = reachable(() => {
      whileSending = dialling.take('quick')
      return Promise.resolve(ANSWERED)
    })
    Object.assign(d.needs, back, { isConnected: () => false })
    expect((await d.step()).kind).to.equal('sent')
    expect(whileSending).to.be.a('function')
  })

  const reset = () => makeWish(world.pool, { wish: 'reset', name: D, who: 'test' })
})
