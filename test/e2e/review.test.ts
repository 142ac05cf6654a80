import { expect } from 'chai'
import type { FakeHomeserver } from '../../src/simulate/fake-homeserver.ts'
import { until } from '../support/poll.ts'
import { makeWorld, type World } from './world.ts'

const ROOM = '!room:home.example'

describe('a destination whose turn broke off', function () {
  this.timeout(40_000)
  let world: World
  let remote: FakeHomeserver
  beforeEach(async () => {
    world = await makeWorld()
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
      withinMs: 20_000,
    })
    await world.quiet()
    expect(remote.violations).to.deep.equal([])
  })
})
