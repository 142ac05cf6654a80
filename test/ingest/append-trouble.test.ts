/** Contract 3, 5: what is acknowledged is there, whatever happens to the database; what isn't is said to be unknown. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import { weightOf } from '../../src/ingest/weight.ts'
import { inTransaction, type Pool } from '../../src/store/db.ts'
import { lockStream } from '../../src/store/stream.ts'
import { holdTransaction } from '../support/hold.ts'
import { until } from '../support/poll.ts'
import { ownServer, type OwnServer } from '../support/postgres.ts'
import { event, makeIngestWorld, parse, redact, request, servers } from './ingest-world.ts'
import type { GivenEvent, IngestWorld } from './ingest-world.ts'

describe('ingest while the database is in trouble', function () {
  // Servers are killed and have to recover.
  this.timeout(300_000)
  let server: OwnServer
  let world: IngestWorld
  beforeEach(async () => {
    server = await ownServer()
    world = await makeIngestWorld({ url: server.url })
  })
  afterEach(async () => {
    await world.close()
    await server.remove()
  })

  const send = (items: readonly object[]) => world.append(request(items))

  it('says that it is away, and goes on by itself when it is back', async () => {
    const [before, during, after] = [event(), event(), event()]
    await world.take([servers({ set: ['b.example'] }), before])
    await server.stop('immediate')
    for (let n = 0; n < 2; n += 1)
      expect(await send([during]))
        .to.deep.include({ kind: 'unavailable' })
        .and.have.property('message')
    await server.start()
    expect(await send([before, during, after])).to.include({
      kind: 'taken',
      accepted: 2,
      duplicates: 1,
      position: 4,
    })
  })

  it('loses nothing that was taken, and doubles nothing, through kills at any moment', async () => {
    await world.take([servers({ set: ['b.example'] })])
    let over = false
    const taken: GivenEvent[] = []
    const unknown: GivenEvent[] = []
    const other: string[] = []
    const producer = async () => {
      while (!over) {
        const events = [event(), event()]
        const { kind } = await send(events)
        if (kind === 'taken') taken.push(...events)
        else if (kind === 'unavailable') unknown.push(...events)
        else other.push(kind)
        if (kind !== 'taken') await sleep(20)
      }
    }
    const running = Promise.all([producer(), producer(), producer(), producer()])
    for (let kill = 0; kill < 3; kill += 1) {
      const had = taken.length
      await until(() => taken.length > had + 20, { what: 'traffic' })
      await server.restart('immediate')
    }
    over = true
    await running
    expect(other).to.deep.equal([])
    expect(unknown.length, 'requests were cut off').to.be.greaterThan(0)
    const stored = async (events: GivenEvent[]) =>
      world.value<number>('select count(*) from events where event_id = any($1)', [
        events.map((e) => e.event_id),
      ])
    expect(await stored(taken)).to.equal(taken.length)
    // What was cut off is there whole or not at all; sent again, it is there once.
    const there = Number(await stored(unknown))
    expect(there % 2).to.equal(0)
    let accepted = 0
    for (let n = 0; n < unknown.length; n += 2)
      accepted += (await world.take(unknown.slice(n, n + 2))).accepted
    expect(accepted).to.equal(unknown.length - there)
    const [row] = await world.rows('select head, (select count(*) from events) as events from stream')
    expect(row).to.deep.equal({
      head: taken.length + unknown.length + 1,
      events: taken.length + unknown.length,
    })
  })

  it('takes nothing of what was cut off before its commit, and the token tells', async () => {
    const blocker = await holdTransaction(world.pool)
    blocker.on('error', () => undefined)
    await lockStream(blocker)
    const waiting = world.append(request([event()], { source: 's', sourceToken: 't1', ifSourceToken: null }))
    await isWaiting(world.pool)
    server.kill()
    expect(await waiting).to.include({ kind: 'unavailable' })
    blocker.release(true)
    // The server's own processes notice the death of the main one by themselves.
    await until(() => server.start().then(() => true), {
      everyMs: 200,
      what: 'the restart',
    })
    const again = request([event()], { source: 's', sourceToken: 't1', ifSourceToken: null })
    expect(await world.append(again)).to.include({ kind: 'taken', position: 1 })
  })
})

describe('ingest while the database is slow', () => {
  let world: IngestWorld
  beforeEach(async () => {
    world = await makeIngestWorld()
  })
  afterEach(() => world.close())

  it('tells who comes too many to come later, and takes all that it let in', async () => {
    const blocker = await holdTransaction(world.pool)
    await lockStream(blocker)
    const items = parse(
      Array.from({ length: 1_000 }, (_, n) => servers({ add: ['b.example'] }, `!r${n}:a.example`)),
    )
    const ask = () => world.append({ ...request([]), items })
    const first = ask()
    await isWaiting(world.pool)
    const rest = Array.from({ length: 30 }, ask)
    const refused = await Promise.race(rest)
    expect(refused).to.deep.equal({ kind: 'full', retryAfterMs: 1_000 })
    await blocker.query('commit')
    blocker.release()
    const results = await Promise.all([first, ...rest])
    const taken = results.filter(({ kind }) => kind === 'taken').length
    expect(results.filter(({ kind }) => kind === 'full')).to.have.length(31 - taken)
    expect(taken).to.be.within(20, 22)
    expect(await world.head()).to.equal(taken * 1_000)
    expect(await ask()).to.include({ kind: 'taken' })
  })

  it('counts what waits by its size, too', () => {
    const [small] = parse([event()])
    if (small?.type !== 'event') throw new Error('an event')
    expect(weightOf({ items: [] })).to.equal(1)
    expect(weightOf({ items: parse([servers({ set: [] })]) })).to.equal(2)
    const large = { ...small, pdu: 'x'.repeat(65_536) }
    expect(weightOf({ items: [large, large] })).to.equal(1 + 2 + 32)
    // So that a thousand of them share a commit with no more.
    const taken = event()
    expect(weightOf({ items: parse([redact(taken), redact(taken)]) })).to.equal(1 + 2 * 2)
  })

  it('is told of a connection that an administrator cut, and goes on with another', async () => {
    const blocker = await holdTransaction(world.pool)
    await lockStream(blocker)
    const waiting = world.append(request([event()]))
    const pid = await isWaiting(world.pool)
    await world.pool.query('select pg_terminate_backend($1)', [pid])
    expect(await waiting).to.include({ kind: 'unavailable' })
    await blocker.query('commit')
    blocker.release()
    expect(await world.append(request([event()]))).to.include({ kind: 'taken', position: 1 })
  })

  it('fails one request that the database refuses by itself, not those that share its commit', async () => {
    const broken = request([event(), event()])
    const [first] = broken.items
    if (first?.type !== 'event') throw new Error('an event')
    // No item from outside has a NUL; a fault of ours might.
    const items = [{ ...first, sender: '@a\0:home.example' }, ...broken.items.slice(1)]
    const results = await Promise.allSettled([
      world.append(request([event()])),
      world.append({ ...broken, items }),
      world.append(request([event()])),
    ])
    expect(results.map(({ status }) => status)).to.deep.equal(['fulfilled', 'rejected', 'fulfilled'])
    expect(await world.value('select count(*) from events')).to.equal(2)
  })
})

describe('what ingest tells others of what it took', () => {
  it('comes after the commit, once a request that took something', async () => {
    const told: number[] = []
    const counted: object[] = []
    const opened: { pool?: Pool } = {}
    const heads: Promise<unknown>[] = []
    const world = await makeIngestWorld({
      onTaken: () => {
        told.push(told.length)
        if (opened.pool !== undefined) heads.push(inTransaction(opened.pool, lockStream))
      },
      onItems: ({ taken, ignored, purged }) =>
        counted.push({ ...Object.fromEntries([...taken, ...ignored]), purged }),
    })
    opened.pool = world.pool
    const one = event()
    await world.take([servers({ set: ['no name'] }), one])
    expect(await heads[0]).to.include({ head: 2 })
    await world.take([one])
    await world.take([], { sourceToken: 't' })
    await world.append(request([event()], { ifSourceToken: 'other' }))
    await world.append(
      request([{ ...one, type: 'redact', room_id: undefined, room_version: undefined, pdu: event().pdu }]),
    )
    expect(told).to.have.length(1)
    expect(counted).to.deep.equal([{ servers: 1, event: 1, invalid_name: 1, no_change: 1, purged: 0 }])
    await Promise.all(heads)
    await world.close()
  })
})

/** Waits until somebody waits for the stream, and tells which backend. */
async function isWaiting(pool: Pool): Promise<number> {
  const { pid } = await until(
    async () => {
      const { rows } = await pool.query<{ pid: number }>(
        `select pid from pg_locks where locktype = 'advisory' and not granted
          and database = (select oid from pg_database where datname = current_database())`,
      )
      return rows[0]
    },
    { what: 'a request that waits for the stream' },
  )
  return pid
}
