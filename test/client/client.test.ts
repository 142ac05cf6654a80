/** `limpet/client` against a real daemon: what producers and operators call it for. */
import { expect } from 'chai'
import { readFileSync } from 'node:fs'
import { OPERATIONS } from '../../src/api/openapi.ts'
import { digestOf, LimpetError, makeAdmin, makeProducer } from '../../src/client/client.ts'
import type { LimpetItem, Producer, ProducerOptions } from '../../src/client/client.ts'
import { makeWorld, TOKENS, type World } from '../e2e/world.ts'
import { until } from '../support/poll.ts'

const ROOM = '!r:home.example'
const NAMES = ['b.example:8448', 'a.example', 'a.example:8449']

describe('limpet/client', function () {
  this.timeout(60_000)
  let world: World
  before(async () => {
    world = await makeWorld()
    await world.start()
  })
  after(() => world.stop())

  const waits: number[] = []
  const producerOf = (source: string, more: Partial<ProducerOptions> = {}): Producer =>
    makeProducer({
      ...{ url: world.address, token: TOKENS.ingest, source },
      wait: (ms) => Promise.resolve(void waits.push(ms)),
      ...more,
    })
  const adminOf = () => makeAdmin({ url: world.address, token: TOKENS.admin })
  const event = () => world.event(ROOM).item as LimpetItem
  const refusalOf = (call: Promise<unknown>): Promise<LimpetError> =>
    call.then(
      () => expect.fail('it was not refused'),
      (error: unknown) => {
        expect(error).to.be.instanceOf(LimpetError)
        return error as LimpetError
      },
    )
  /** Node's `fetch` of which the first `lost` answers never arrive: limpet gave them. */
  const losing = (lost: number): typeof fetch => {
    let left = lost
    return async (...asked) => {
      const answer = await fetch(...asked)
      if (left-- <= 0) return answer
      await answer.arrayBuffer()
      throw new TypeError('terminated')
    }
  }

  it('feeds, and finds its place again', async () => {
    const producer = producerOf('fed')
    expect(await producer.position()).to.include({ source_token: null })
    const servers: LimpetItem = { type: 'servers', room_id: ROOM, set: NAMES }
    const fed = await producer.ingest([servers, event()], { tokens: { from: null, to: 's1' } })
    expect(fed).to.include({ kind: 'taken', accepted: 2, duplicates: 0 })
    expect(await producer.position()).to.include({ source_token: 's1' })
    const { rooms } = await producer.rooms({ limit: 10 })
    expect(rooms.map(({ room_id, digest }) => [room_id, digest])).to.deep.equal([[ROOM, digestOf(NAMES)]])
    expect((await producer.room(ROOM)).names).to.deep.equal([...NAMES].sort())
    expect((await producer.unreachable()).token).to.match(/^u1-/)
    expect(await producer.serverUp(['a.example'])).to.deep.equal({})
  })

  it('repeats the same items after a lost answer, and they are there once', async () => {
    waits.length = 0
    const before = (await producerOf('lost').position()).position
    const items = [event(), event()]
    const tokens = { from: null, to: 's2' }
    const fed = await producerOf('lost', { fetch: losing(1) }).ingest(items, { tokens })
    expect(fed).to.deep.equal({ kind: 'before' })
    expect(waits).to.have.lengthOf(1)
    expect(await producerOf('lost').position()).to.deep.equal({ position: before + 2, source_token: 's2' })
  })

  it('repeats while limpet is away, and not without tokens: then nobody knows whether it was taken', async () => {
    let away = 2
    const flaky: typeof fetch = (...asked) =>
      away-- > 0 ? Promise.reject(new TypeError('fetch failed')) : fetch(...asked)
    waits.length = 0
    const told: unknown[] = []
    const onRetry: ProducerOptions['onRetry'] = ({ status }, ms) => void told.push([status, ms])
    const fed = await producerOf('away', { fetch: flaky, waitMs: (n) => n * 10, onRetry }).ingest([event()], {
      tokens: { from: null, to: 'a1' },
    })
    expect([fed.kind, waits]).to.deep.equal(['taken', [10, 20]])
    expect(told).to.deep.equal([
      [0, 10],
      [0, 20],
    ])
    away = 1
    const error = await refusalOf(producerOf('away', { fetch: flaky }).ingest([event()]))
    expect([error.status, error.errcode]).to.deep.equal([0, null])
  })

  it('tells of a token that is not the stored one, of a wrong item, and of a wrong token', async () => {
    const mismatch = await refusalOf(producerOf('fed').ingest([], { tokens: { from: 's7', to: 's8' } }))
    expect([mismatch.status, mismatch.errcode]).to.deep.equal([409, 'M_LIMPET_TOKEN_MISMATCH'])
    expect(mismatch.answer['source_token']).to.equal('s1')
    const wrong = await refusalOf(producerOf('x').ingest([{ type: 'purge', room_id: 'no room' }]))
    expect(wrong).to.include({ status: 400, errcode: 'M_INVALID_PARAM' })
    expect(wrong.answer).to.include({ index: 0, path: 'room_id' })
    const stranger = makeProducer({ url: world.address, token: 'nobody' })
    expect(await refusalOf(stranger.position())).to.include({ status: 401, errcode: 'M_UNKNOWN_TOKEN' })
    const same = await producerOf('x')
      .ingest([], { tokens: { from: 'a', to: 'a' } })
      .catch((e: unknown) => e)
    expect(same).to.be.instanceOf(TypeError)
  })

  it('stops repeating when it is told to', async () => {
    const stop = new AbortController()
    const never: typeof fetch = () => Promise.reject(new TypeError('fetch failed'))
    const wait = (_ms: number, signal?: AbortSignal) => {
      stop.abort(new Error('enough'))
      signal?.throwIfAborted()
      return Promise.resolve()
    }
    const fed = producerOf('x', { fetch: never, wait }).ingest([], {
      ...{ tokens: { from: null, to: 'z' }, signal: stop.signal },
    })
    expect(String(await fed.catch((error: unknown) => error))).to.equal('Error: enough')
  })

  it('looks and acts', async () => {
    const admin = adminOf()
    const name = 'b.example:8448'
    await until(async () => (await admin.destination(name)).last_error !== null, { what: 'a first attempt' })
    expect((await admin.status()).server_name).to.equal('home.example')
    expect((await admin.destinations({ search: 'b.ex' })).destinations[0]?.destination).to.equal(name)
    expect((await admin.pendingRooms(name)).rooms[0]?.room_id).to.equal(ROOM)
    expect((await admin.attempts(name, { limit: 1 })).transactions).to.have.lengthOf(1)
    expect((await admin.quarantine(name)).quarantine).to.deep.equal([])
    const { event_id } = (await admin.preview(name)).pdus[0] ?? { event_id: '' }
    expect((await admin.explain(event_id, { destination: name })).destinations[0]?.outcome).to.equal(
      'pending',
    )
    expect((await admin.sticky()).sticky).to.deep.equal([])
    expect((await admin.discovery('127.0.0.1:9')).connects_to).to.have.lengthOf(1)

    expect(await admin.pause(name)).to.deep.equal({})
    expect(await refusalOf(admin.wake(name))).to.include({ status: 409, errcode: 'M_LIMPET_PAUSED' })
    await admin.resume(name)
    await admin.wake(name)
    await admin.reset(name)
    expect((await admin.skip(name, { dry_run: true })).pending_pdus).to.be.above(0)
    expect((await admin.actOnMany({ action: 'wake', glob: '*.example', dry_run: true })).matched).to.equal(3)
    expect((await admin.block({ glob: '*.example', dry_run: true })).matched).to.equal(3)
    await admin.block({ glob: 'c.example', reason: 'a test' })
    expect((await admin.blocks()).blocks.map(({ glob, reason }) => [glob, reason])).to.deep.equal([
      ['c.example', 'a test'],
    ])
    expect(await admin.unblock({ glob: 'c.example' })).to.deep.equal({})
    expect((await admin.audit({ limit: 1 })).audit[0]).to.include({ action: 'unblock', target: 'c.example' })
    for (const call of [
      admin.source('nobody'),
      admin.continueSource('nobody'),
      admin.retryQuarantined(name, 'pdu-1'),
      admin.dropQuarantined(name, 'pdu-1'),
    ])
      expect((await refusalOf(call)).errcode).to.equal('M_NOT_FOUND')
  })

  it('has every call of the API, by its name in the reference', () => {
    const calls = { ...producerOf('x'), ...adminOf() }
    const wanted = OPERATIONS.filter(({ group }) => group !== 'Watching').map(({ name }) => name)
    expect(Object.keys(calls).sort()).to.deep.equal(wanted.sort())
  })

  it('is what the package exports', () => {
    const { exports } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
      exports: Record<string, unknown>
    }
    expect(exports['./client']).to.deep.equal({
      types: './dist/src/client/client.d.ts',
      default: './dist/src/client/client.js',
    })
  })
})
