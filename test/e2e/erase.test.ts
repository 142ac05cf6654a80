/** Contract 3, 5.2 and 5.13: what is erased is not sent any more, by a real daemon to strict remotes. */
import { expect } from 'chai'
import type { FakeHomeserver } from '../../src/simulate/fleet/fake-homeserver.ts'
import { until } from '../support/poll.ts'
import { makeWorld, OURS, PATIENT, type World } from './world.ts'

const HOUR = 3_600_000
const ROOM = '!room:home.example'
const BOB = `@bob:${OURS}`

describe('what is erased', () => {
  let world: World
  let remote: FakeHomeserver
  beforeEach(async () => {
    const backoff = { first_ms: 100 * HOUR, max_ms: 100 * HOUR }
    world = await makeWorld({ settings: { ...PATIENT, federation: { backoff } } })
    await world.start()
    remote = await world.remote()
    await world.ingest([{ type: 'servers', room_id: ROOM, set: [remote.serverName] }])
  })
  afterEach(() => world.stop())

  const ofBob = (stickyMs?: number) =>
    world.event(ROOM, { sender: BOB, ...(stickyMs === undefined ? {} : { stickyMs }) })
  const failed = () =>
    until(
      async () =>
        (await world.pool.query('select from destinations where failures > 0 and lease_owner is null'))
          .rowCount === 1,
      { what: 'the failure to be written down' },
    )
  const reset = () =>
    world.request(`/v1/destinations/${remote.serverName}/reset`, { method: 'POST', token: 'admin-token' })
  const explained = async (eventId: string) =>
    (await world.request(`/v1/events/${encodeURIComponent(eventId)}`, { token: 'read-token' })).body

  it('goes out of a transaction that is unanswered, which ends; the rest of it is planned anew, and later events of the sender go', async () => {
    remote.behave({ kind: 'status', status: 503 })
    const [gone, other] = [ofBob(), world.event(ROOM)]
    await world.ingest([gone.item, other.item])
    await failed()
    expect((await world.pool.query('select from open_transactions where not void')).rowCount).to.equal(1)
    remote.forgive()
    const later = ofBob()
    await world.ingest([{ type: 'erase', sender: BOB }, later.item])
    remote.behave({ kind: 'ok' })
    await reset()
    await until(() => remote.received.has(later.eventId), { what: 'what came later' })
    expect([...remote.received.keys()]).to.deep.equal([other.eventId, later.eventId])
    await world.quiet()
    expect(new Set(remote.transactions.map(({ txnId }) => txnId)).size).to.equal(remote.transactions.length)
    expect(remote.violations).to.deep.equal([])
    expect(await explained(gone.eventId)).to.deep.include({
      errcode: 'M_NOT_FOUND',
      error: 'that event was erased: nothing of it is stored, or sent',
    })
  })

  it('is not replayed to a server that joins, also where it comes under a source token', async () => {
    const [gone, named, mine] = [
      ofBob(HOUR),
      world.event(ROOM, { stickyMs: HOUR }),
      world.event(ROOM, { stickyMs: HOUR }),
    ]
    const more = { source: 'hs', source_token: 'one', if_source_token: null }
    await world.ingest([gone.item, named.item, mine.item], more)
    await until(() => remote.received.size === 3, { what: 'them to arrive' })
    const erase = [
      { type: 'erase', sender: BOB },
      { type: 'erase', event_ids: [named.eventId, '$strange'] },
    ]
    const moves = { source: 'hs', source_token: 'two', if_source_token: 'one' }
    const { ignored } = await world.ingest(erase, moves)
    expect(ignored).to.deep.equal([{ index: 1, value: '$strange' }])
    const again = await world.request('/v1/ingest', {
      ...{ method: 'POST', token: 'ingest-token', headers: { 'content-type': 'application/json' } },
      body: JSON.stringify({ items: erase, ...moves }),
    })
    expect(again.body).to.include({ errcode: 'M_LIMPET_TOKEN_MISMATCH', source_token: 'two' })
    const joiner = await world.remote()
    const later = ofBob(HOUR)
    await world.ingest([{ type: 'servers', room_id: ROOM, add: [joiner.serverName] }, later.item])
    await until(() => joiner.received.has(later.eventId) && joiner.received.has(mine.eventId), {
      what: 'the replay',
    })
    await world.quiet()
    expect([...joiner.received.keys()].sort()).to.deep.equal([mine.eventId, later.eventId].sort())
    expect((await world.pool.query('select from events where sender = $1', [BOB])).rowCount).to.equal(1)
  })

  it('is not sent by a process that follows the log and has read it already', async () => {
    const first = world.event(ROOM)
    await world.ingest([first.item])
    await until(() => remote.received.has(first.eventId), { what: 'the first' })
    // The next request stays under way, and what comes meanwhile waits behind it.
    remote.behave({ kind: 'ok', delayMs: 3_000 })
    const held = world.event(ROOM)
    await world.ingest([held.item])
    await until(() => remote.requests === 2, { what: 'the request that takes its time' })
    const [gone, other] = [ofBob(), world.event(ROOM)]
    await world.ingest([gone.item, other.item])
    await world.ingest([{ type: 'erase', event_ids: [gone.eventId] }])
    remote.behave({ kind: 'ok' })
    await until(() => remote.received.has(other.eventId), { what: 'what is left' })
    expect([...remote.received.keys()]).to.deep.equal([first.eventId, held.eventId, other.eventId])
  })
})
