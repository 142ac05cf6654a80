import { expect } from 'chai'
import type { FakeHomeserver } from '../../src/simulate/fleet/fake-homeserver.ts'
import { until } from '../support/poll.ts'
import { makeWorld, PATIENT, type World } from './world.ts'

const ROOM = '!room:home.example'

describe('a destination whose turn broke off', () => {
  let world: World
  let remote: FakeHomeserver
  beforeEach(async () => {
    // Nor may it be a lease that ran out which brings it back.
    world = await makeWorld({ settings: PATIENT })
    await world.start()
    remote = await world.remote()
    await world.ingest([{ type: 'servers', room_id: ROOM, add: [remote.serverName] }])
    await world.quiet()
  })
  afterEach(() => world.stop())

  it('is served again by itself, though its worker lives and nothing new comes', async () => {
    await world.pool.query('create sequence refusals')
    await world.pool.query(
      `create function refuse() returns trigger language plpgsql as
       $$ begin perform nextval('refusals'); raise exception 'no'; end $$`,
    )
    await world.pool.query(
      'create trigger refuse before insert on attempts for each row execute function refuse()',
    )
    const event = world.event(ROOM)
    await world.ingest([event.item])
    await until(async () => (await world.pool.query('select from refusals where is_called')).rowCount === 1, {
      what: 'the turn to break off',
    })
    await world.pool.query('drop trigger refuse on attempts')
    await until(async () => (await world.pool.query('select from open_transactions')).rowCount === 0, {
      what: 'the answer to be written down',
    })
    await world.quiet()
    expect(remote.violations).to.deep.equal([])
  })
})

describe('slow destinations with a backlog', () => {
  let world: World
  beforeEach(async () => {
    world = await makeWorld({
      settings: {
        internal: PATIENT.internal,
        federation: { max_concurrency: 2, recovering_concurrency: 1 },
      },
    })
    await world.start()
  })
  afterEach(() => world.stop())

  it("leave the lane of those that answer quickly, and don't fill it", async () => {
    const [first, second, healthy] = await Promise.all([world.remote(), world.remote(), world.remote()])
    const roomOf = ({ serverName }: FakeHomeserver) => `!${serverName}:home.example`
    const ask = async (remote: FakeHomeserver, events: number) => {
      const sent = Array.from({ length: events }, () => world.event(roomOf(remote)))
      await world.ingest(sent.map(({ item }) => item))
      return sent
    }
    for (const remote of [first, second, healthy]) {
      await world.ingest([{ type: 'servers', room_id: roomOf(remote), add: [remote.serverName] }])
      await ask(remote, 1)
      await until(() => remote.received.size === 1, { what: 'a first quick answer' })
    }
    await world.quiet()
    for (const slow of [first, second]) {
      // One answer that is not quick any more; from then on a request ends long after this test.
      let requests = 0
      slow.behave(() => ({ kind: 'ok', delayMs: (requests += 1) === 1 ? 5_500 : 100_000 }))
      await ask(slow, 150)
    }
    await until(() => first.requests + second.requests >= 5, { what: 'a second slow request' })
    const [event] = await ask(healthy, 1)
    // Were the two in its lane, it would wait for the end of such a request: a minute, by `request_timeout_ms`.
    await until(() => healthy.received.has(event!.eventId), {
      what: 'the event of the healthy one',
      withinMs: 40_000,
    })
  })
})

describe('a paused destination that was failing', () => {
  let world: World
  beforeEach(async () => {
    // Longer backoffs than this are cut: no server may be failing for hours here otherwise.
    world = await makeWorld({ settings: { federation: { backoff: { max_ms: 28_800_000 } } } })
    await world.start()
  })
  afterEach(() => world.stop())

  it('gets what a join during the pause owes it when it is resumed, not at the end of its backoff', async () => {
    const remote = await world.remote()
    const act = (verb: string) =>
      world.request(`/v1/destinations/${remote.serverName}/${verb}`, { method: 'POST', token: 'admin-token' })
    await world.ingest([{ type: 'servers', room_id: ROOM, add: [remote.serverName] }])
    await world.quiet()
    await world.pool
      .query(`update destinations set failures = 9, failing_since = now_ms(), retry_at = now_ms() + 3600000,
                              retry_interval = 3600000, look_at = now_ms() + 3600000`)
    await act('pause')
    const call = '!call:home.example'
    const event = world.event(call, { stickyMs: 1_800_000 })
    await world.ingest([
      { type: 'servers', room_id: call, set: [] },
      event.item,
      { type: 'servers', room_id: call, add: [remote.serverName] },
    ])
    await act('resume')
    await until(() => remote.received.has(event.eventId), { what: 'the replay' })
  })
})
