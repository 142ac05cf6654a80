import { expect } from 'chai'
import { until } from '../support/poll.ts'
import { makeWorld, PATIENT, type World } from './world.ts'

describe('a whole daemon', () => {
  let world: World
  beforeEach(async () => {
    world = await makeWorld({ settings: PATIENT })
    await world.start()
  })
  afterEach(() => world.stop())

  it('brings one event to the one server in its room, signed and in one transaction', async () => {
    const remote = await world.remote()
    const { eventId, item } = world.event('!room:home.example')
    const taken = await world.ingest([
      { type: 'servers', room_id: '!room:home.example', add: [remote.serverName] },
      item,
    ])
    expect(taken).to.include({ accepted: 2, duplicates: 0, position: 2 })
    await until(() => remote.received.has(eventId), { what: 'the event' })
    expect(remote.transactions).to.have.length(1)
    expect(remote.violations).to.deep.equal([])
  })
})
