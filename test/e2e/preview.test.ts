import { expect } from 'chai'
import { matrixError } from '../../src/simulate/fleet/behaviour.ts'
import type { FakeHomeserver } from '../../src/simulate/fleet/fake-homeserver.ts'
import { until } from '../support/poll.ts'
import { makeWorld, PATIENT, type World } from './world.ts'

const ROOM = '!room:home.example'
const OTHER = '!other:home.example'
const HOUR = 3_600_000

interface Preview {
  txn_id: string | null
  attempts: number
  origin_server_ts: number | null
  catch_up_begins: boolean
  pdus: { event_id: string; room_id: string; as: string }[]
  body: string | null
  bytes: number
  reason: string
}

describe('a preview', () => {
  let world: World
  let remote: FakeHomeserver
  beforeEach(async () => {
    world = await makeWorld({
      settings: { internal: PATIENT.internal, catch_up: { threshold_pdus: 3, min_age_ms: 1_000 } },
    })
    await world.start()
    remote = await world.remote()
    await world.ingest(
      [ROOM, OTHER].map((room) => ({ type: 'servers', room_id: room, add: [remote.serverName] })),
    )
  })
  afterEach(() => world.stop())

  const act = (verb: string) =>
    world.request(`/v1/destinations/${remote.serverName}/${verb}`, { method: 'POST', token: 'admin-token' })
  const preview = async () => {
    const path = `/v1/destinations/${remote.serverName}/preview`
    return (await world.request(path, { token: 'read-token' })).body as Preview
  }
  const send = async (room = ROOM, stickyMs?: number) => {
    const event = world.event(room, stickyMs === undefined ? {} : { stickyMs })
    await world.ingest([event.item])
    return event.eventId
  }
  const paused = async () => {
    await act('pause')
    await world.released()
  }
  const received = () => [...remote.received.keys()]
  const withoutTs = (body: string | null) => body?.replace(/"origin_server_ts":\d+,"pdus"/, '"pdus"')

  it('of an unanswered transaction is its very bytes', async () => {
    remote.behave(matrixError(500, 'M_UNKNOWN'))
    const event = await send()
    await until(() => remote.requests > 0, { what: 'a request' })
    await paused()
    const shown = await preview()
    const [sent] = remote.transactions
    expect(shown).to.include({ txn_id: sent?.txnId, body: sent?.body, catch_up_begins: false })
    expect(shown.attempts).to.equal(sent?.requestsAt.length)
    expect(shown.bytes).to.equal(Buffer.byteLength(sent?.body ?? ''))
    expect(shown.pdus).to.deep.include({ event_id: event, room_id: ROOM, position: 3, as: 'timeline' })
  })

  it('of what waits is what is sent then, but for the time at its head; nothing is sent by it', async () => {
    await paused()
    const events = [await send(), await send(OTHER)]
    const shown = await preview()
    expect(shown).to.include({ txn_id: null, attempts: 0 })
    expect(shown.pdus.map(({ event_id }) => event_id)).to.deep.equal(events)
    expect(remote.requests).to.equal(0)
    expect((await preview()).pdus, 'nor moved').to.deep.equal(shown.pdus)
    await act('resume')
    await until(() => remote.received.size === 2, { what: 'both' })
    expect(withoutTs(remote.transactions[0]?.body ?? null)).to.equal(withoutTs(shown.body))
  })

  it('says where a catch-up begins first, and then what goes in it, sticky events first', async () => {
    await paused()
    const sticky = await send(ROOM, HOUR)
    for (let n = 0; n < 5; n += 1) await send(n % 2 === 0 ? ROOM : OTHER)
    await world.moveClock(60_000)
    expect(await preview()).to.include({ catch_up_begins: true, body: null })
    remote.behave(matrixError(500, 'M_UNKNOWN'))
    await act('resume')
    await until(() => remote.requests > 0, { what: 'the first request of the catch-up' })
    await paused()
    const begun = await preview()
    expect(begun.catch_up_begins).to.equal(false)
    expect(begun.pdus[0]).to.include({ event_id: sticky, as: 'sticky_replay' })
    expect(begun.body).to.equal(remote.transactions[0]?.body)
    remote.behave({ kind: 'ok' })
    await act('resume')
    await until(() => remote.received.has(sticky), { what: 'the sticky event' })
    expect(received()[0]).to.equal(sticky)
  })

  it('of nothing says why, and an unknown destination has none', async () => {
    await world.quiet()
    expect(await preview()).to.include({ body: null, bytes: 0, txn_id: null, reason: 'nothing is owed' })
    expect(
      (await world.request('/v1/destinations/x.example/preview', { token: 'read-token' })).status,
    ).to.equal(404)
  })
})
