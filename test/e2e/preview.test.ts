import { expect } from 'chai'
import { matrixError, ok } from '../../src/simulate/fleet/behaviour.ts'
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
  what: string | null
  search: { pdus: number; parts: number; not_before: number | null } | null
  set_aside: { total: number; next: { event_id: string; next_try: number }[] }
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

  it('while PDUs that are refused are searched, is the part that goes next, and shows what is set aside and when it is tried', async () => {
    await paused()
    const events = [await send(OTHER), await send(), await send()]
    const bad = events[2]!
    // The search comes no further than its first half, which is asked to wait.
    let waits = true
    remote.behave(({ pduIds }) => {
      if (pduIds.includes(bad)) return matrixError(403, 'M_FORBIDDEN', 'no')
      return waits && pduIds.length === 2 ? matrixError(429, 'M_LIMIT_EXCEEDED') : ok
    })
    await act('resume')
    const half = () =>
      remote.transactions.filter(({ pduIds }) => pduIds.length === 2 && !pduIds.includes(bad)).at(-1)
    await until(() => half() !== undefined, { what: 'the first half' })
    await paused()
    const search = { pdus: 3, parts: 2, not_before: null }
    const open = await preview()
    expect(open).to.include({ what: 'half', body: half()?.body, txn_id: half()?.txnId })
    expect(open.search).to.deep.equal(search)
    // As if it were not frozen yet.
    const frozen = await world.pool.query<{ row: string }>(
      'delete from open_transactions o returning to_jsonb(o)::text as row',
    )
    const planned = await preview()
    expect(planned).to.include({ what: 'half', txn_id: null })
    expect(planned.pdus.map(({ event_id, as }) => [event_id, as])).to.deep.equal(
      events.slice(0, 2).map((id) => [id, 'timeline']),
    )
    expect(planned.search).to.deep.equal(search)
    expect(withoutTs(planned.body)).to.equal(withoutTs(open.body))
    await world.pool.query(
      'insert into open_transactions select (jsonb_populate_record(null::open_transactions, $1)).*',
      [frozen.rows[0]!.row],
    )
    waits = false
    await act('resume')
    await act('wake')
    await until(() => remote.received.size === 2, { what: 'it' })
    await until(async () => (await preview()).set_aside.total === 1, { what: 'it set aside' })
    const after = await preview()
    expect(after).to.include({ body: null, search: null })
    const [aside] = after.set_aside.next
    expect(aside).to.include({ event_id: bad })
    expect(aside!.next_try).to.be.above(Date.now() + 14 * 60_000)
    await world.released()
    await paused()
    await world.moveClock(16 * 60_000)
    const due = await preview()
    expect(due).to.include({ what: 'set_aside' })
    expect(due.pdus.map(({ event_id }) => event_id)).to.deep.equal([bad])
  })

  it('of nothing says why, and an unknown destination has none', async () => {
    await world.quiet()
    expect(await preview()).to.include({ body: null, bytes: 0, txn_id: null, reason: 'nothing is owed' })
    expect(
      (await world.request('/v1/destinations/x.example/preview', { token: 'read-token' })).status,
    ).to.equal(404)
  })
})
