import { expect } from 'chai'
import { until } from '../support/poll.ts'
import { makeWorld, PATIENT, type World } from './world.ts'

const ROOM = '!room:home.example'

describe('several processes on one database', () => {
  let world: World
  beforeEach(async () => {
    world = await makeWorld({ settings: PATIENT })
  })
  afterEach(() => world.stop())

  it('plans everything and sends nothing without the role deliver, and delivers once somebody has it', async () => {
    const shadow = await world.start(['ingest', 'housekeep'])
    const remote = await world.remote()
    const event = world.event(ROOM)
    await world.ingest([{ type: 'servers', room_id: ROOM, add: [remote.serverName] }, event.item])
    await until(
      async () => {
        const { body } = await world.request('/v1/status', { token: 'read-token' })
        return (body as { pending_pdus: number }).pending_pdus === 1
      },
      { what: 'the sweep to count it' },
    )
    expect(remote.connections).to.equal(0)
    await world.start(['deliver'])
    await until(() => remote.received.has(event.eventId), { what: 'the event' })
    await shadow.stop()
  })

  it('gives each destination one sender at a time: two that deliver, one stopped in the middle', async () => {
    await world.start(['ingest', 'housekeep'])
    const first = await world.start(['deliver'])
    await world.start(['deliver'])
    const remotes = await Promise.all(Array.from({ length: 8 }, () => world.remote()))
    await world.ingest([{ type: 'servers', room_id: ROOM, add: remotes.map(({ serverName }) => serverName) }])
    const ids: string[] = []
    for (let n = 0; n < 30; n += 1) {
      const events = Array.from({ length: 5 }, () => world.event(ROOM))
      ids.push(...events.map(({ eventId }) => eventId))
      await world.ingest(events.map(({ item }) => item))
      if (n === 15) await first.stop()
    }
    for (const remote of remotes) {
      await until(() => remote.received.size === ids.length, { what: 'all events' })
      expect([...remote.received.keys()]).to.deep.equal(ids)
      expect(remote.violations).to.deep.equal([])
      expect(remote.mostOpenAtOnce).to.equal(1)
      expect(
        remote.transactions.every(({ requestsAt }) => requestsAt.length === 1),
        'nothing repeated',
      ).to.equal(true)
    }
  })

  it('takes no more work when the schema becomes one that it does not know', async () => {
    await world.start()
    await world.pool.query(
      `insert into limpet_migrations (version, name, checksum) values (9999, '9999_new.sql', 'x')`,
    )
    const ready = () => world.request('/health/ready')
    await until(async () => (await ready()).status === 503, { what: 'not to be ready' })
    const answer = await world.request('/v1/ingest', {
      method: 'POST',
      token: 'ingest-token',
      headers: { 'content-type': 'application/json' },
      body: '{"items":[]}',
    })
    expect(answer.status).to.equal(503)
    const why = 'the database schema is version 9999, but this limpet knows'
    expect(answer.body).to.include({ errcode: 'M_LIMPET_UNAVAILABLE' })
    expect((answer.body as { error: string }).error)
      .to.include(why)
      .and.to.match(/this process takes no more work$/)
    expect(((await ready()).body as { error: string }).error).to.include(why)
  })
})
