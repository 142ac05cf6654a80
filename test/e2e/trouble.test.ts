import { expect } from 'chai'
import { matrixError, tooManyRequests } from '../../src/simulate/fleet/behaviour.ts'
import type { FakeHomeserver } from '../../src/simulate/fleet/fake-homeserver.ts'
import { redact } from '../../src/matrix/redaction.ts'
import { roomVersion } from '../../src/matrix/room-versions.ts'
import type { JsonObject } from '../../src/matrix/json-value.ts'
import { until } from '../support/poll.ts'
import { makeWorld, PATIENT, type World } from './world.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const ROOM = '!room:home.example'

interface Seen {
  state: string
  next_attempt: number | null
  failing_since: number | null
  retry_interval_ms: number | null
  last_error: { status: number | null; kind: string } | null
  open_transaction: string | null
}

describe('a destination in trouble', () => {
  let world: World
  let remote: FakeHomeserver
  beforeEach(async () => {
    world = await makeWorld({ settings: { internal: PATIENT.internal } })
    await world.start()
    remote = await world.remote()
    await world.ingest([{ type: 'servers', room_id: ROOM, add: [remote.serverName] }])
  })
  afterEach(() => world.stop())

  const seen = async () =>
    (await world.request(`/v1/destinations/${remote.serverName}`, { token: 'read-token' })).body as Seen
  const act = (verb: string) =>
    world.request(`/v1/destinations/${remote.serverName}/${verb}`, { method: 'POST', token: 'admin-token' })
  const send = async () => {
    const event = world.event(ROOM)
    await world.ingest([event.item])
    return event
  }
  /** Of its attempts, the newest first. */
  const outcomes = async () => {
    const path = `/v1/destinations/${remote.serverName}/transactions`
    const { body } = await world.request(path, { token: 'read-token' })
    return (body as { transactions: { outcome: string }[] }).transactions.map(({ outcome }) => outcome)
  }
  const now = async () =>
    (await world.pool.query<{ now: number }>('select now_ms()::float8 as now')).rows[0]!.now

  it('is left alone as long as its 429 asks for, by everybody but an operator who resets it', async () => {
    remote.behave(tooManyRequests(70 * MINUTE))
    const event = await send()
    await until(async () => (await seen()).state === 'backing_off', { what: 'the hold' })
    await world.released()
    const { next_attempt, failing_since } = await seen()
    expect(next_attempt! - (await now())).to.be.within(60 * MINUTE, 70 * MINUTE)
    expect(failing_since, 'a 429 is a failure like another').to.be.a('number')
    const refused = await act('wake')
    expect(refused.status).to.equal(409)
    await world.ingest([{ type: 'server_up', server: remote.serverName }])
    remote.behave({ kind: 'ok' })
    const another = await send()
    await world.moveClock(50 * MINUTE)
    const requests = remote.requests
    expect(requests).to.equal(1)
    expect((await act('reset')).status).to.equal(200)
    await until(() => remote.received.has(another.eventId), { what: 'both events after the reset' })
    expect(remote.received.has(event.eventId)).to.equal(true)
    expect(remote.transactions[0]!.requestsAt).to.have.length(2)
  })

  it('that is gone (410) is tried again after a day, or when it seems to be up', async () => {
    remote.behave(matrixError(410, 'M_UNKNOWN'))
    const event = await send()
    await until(async () => (await seen()).last_error?.status === 410, { what: 'the 410' })
    await world.released()
    expect((await seen()).next_attempt! - (await now())).to.be.within(23 * HOUR, 24 * HOUR)
    await world.moveClock(2 * HOUR)
    remote.behave({ kind: 'ok' })
    expect(remote.requests).to.equal(1)
    await world.ingest([{ type: 'server_up', server: remote.serverName }])
    await until(() => remote.received.has(event.eventId), { what: 'the event' })
  })

  it('whose answer was lost gets the same id and the same bytes, and what came meanwhile under a new id', async () => {
    remote.behave({ kind: 'drop after processing' })
    const first = await send()
    await until(() => remote.requests > 0, { what: 'the first request' })
    const second = await send()
    await until(async () => (await seen()).failing_since !== null, { what: 'the failure' })
    remote.behave({ kind: 'ok' })
    await until(() => remote.received.has(second.eventId), { what: 'the second event' })
    expect(remote.violations).to.deep.equal([])
    expect(remote.transactions.map(({ pduIds }) => pduIds)).to.deep.equal([[first.eventId], [second.eventId]])
    expect(remote.transactions[0]!.requestsAt.length).to.be.greaterThan(1)
  })

  it('whose idle connection ends as the next request goes out gets it again at once: no failure, one attempt', async () => {
    const first = await send()
    await until(() => remote.received.has(first.eventId), { what: 'the first event' })
    await world.quiet()
    remote.behave(({ n }) => (n === 2 ? { kind: 'drop after processing' } : { kind: 'ok' }))
    const second = await send()
    await until(() => remote.requests === 3, { what: 'the same request on a new connection' })
    await world.quiet()
    expect(remote.transactions.map(({ pduIds }) => pduIds)).to.deep.equal([[first.eventId], [second.eventId]])
    expect(remote.connections).to.equal(2)
    expect(remote.violations).to.deep.equal([])
    expect(await seen()).to.include({ state: 'idle', failing_since: null, last_error: null })
    expect(await outcomes()).to.deep.equal(['answered', 'answered'])
  })

  it('that ends every connection under its request gets two of them, and then it is a failure like any other', async () => {
    const first = await send()
    await until(() => remote.received.has(first.eventId), { what: 'the first event' })
    await world.quiet()
    remote.behave({ kind: 'drop after processing' })
    await send()
    await until(async () => (await seen()).failing_since !== null, { what: 'the failure' })
    await act('pause')
    await world.released()
    // Its first attempt made two requests, and each later one, on a new connection, one.
    const failed = (await outcomes()).filter((outcome) => outcome === 'failed')
    expect(failed).not.to.have.length(0)
    expect(remote.transactions[1]?.requestsAt).to.have.length(failed.length + 1)
    expect(remote.transactions).to.have.length(2)
    expect(remote.violations).to.deep.equal([])
  })

  it('gets an unanswered transaction under a new id after 24 hours', async () => {
    remote.behave(matrixError(500, 'M_UNKNOWN'))
    const event = await send()
    await until(async () => (await seen()).failing_since !== null, { what: 'the failure' })
    await act('pause')
    await until(async () => (await seen()).state === 'paused', { what: 'the pause' })
    await world.released()
    await world.moveClock(24 * HOUR)
    remote.forgive()
    remote.behave({ kind: 'ok' })
    await act('resume')
    await until(() => remote.received.has(event.eventId), { what: 'the event' })
    expect(remote.transactions.map(({ pduIds }) => pduIds)).to.deep.equal([[event.eventId], [event.eventId]])
    expect(new Set(remote.transactions.map(({ txnId }) => txnId)).size).to.equal(2)
  })

  it('never gets the old text of an event that was redacted while its transaction was unanswered', async () => {
    remote.behave(matrixError(500, 'M_UNKNOWN'))
    const event = await send()
    await until(async () => (await seen()).failing_since !== null, { what: 'the failure' })
    await act('pause')
    await until(async () => (await seen()).state === 'paused', { what: 'the pause' })
    await world.released()
    const version = roomVersion('10')!
    const pdu = redact(event.item['pdu'] as JsonObject, version)
    await world.ingest([{ type: 'redact', event_id: event.eventId, pdu }])
    const { rows } = await world.pool.query<{ void: boolean }>('select void from open_transactions')
    expect(rows).to.deep.equal([{ void: true }])
    remote.forgive()
    remote.behave({ kind: 'ok' })
    await act('resume')
    await until(() => remote.received.has(event.eventId), { what: 'the redacted event' })
    const last = remote.transactions.at(-1)!
    expect(last.body).to.not.include((event.item['pdu'] as { content: { body: string } }).content.body)
    expect(remote.transactions.at(-1)!.txnId).to.not.equal(remote.transactions[0]!.txnId)
  })

  it('does not delay the others: slow, hanging and dead ones beside a healthy one', async () => {
    const others = await Promise.all([world.remote(), world.remote(), world.remote()])
    others[0].behave({ kind: 'ok', delayMs: 50_000 })
    others[1].behave({ kind: 'hang' })
    await others[2].stop()
    await world.ingest([{ type: 'servers', room_id: ROOM, add: others.map(({ serverName }) => serverName) }])
    await send()
    await until(() => remote.received.size === 1, { what: 'the first event' })
    for (let n = 0; n < 10; n += 1) {
      const event = await send()
      // The slow one takes longer than this for each, the hanging one as well.
      await until(() => remote.received.has(event.eventId), { what: `event ${n}`, withinMs: 40_000 })
    }
  })

  it('whose name nobody can look up keeps what it is owed, and says so', async () => {
    await world.ingest([{ type: 'servers', room_id: ROOM, add: ['plain.example'] }])
    await send()
    await until(
      async () => {
        const { body } = await world.request('/v1/destinations/plain.example', { token: 'read-token' })
        const { reason, pending_pdus } = body as { reason: string; pending_pdus: number }
        return reason.includes('plain.example: the name could not be looked up') && pending_pdus === 1
      },
      { what: 'the reason' },
    )
  })
})
