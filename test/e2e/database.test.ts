import { expect } from 'chai'
import { query } from '../../src/embedded/postmaster.ts'
import { sharedServer } from '../support/postgres.ts'
import { until } from '../support/poll.ts'
import { EMPTY_QUEUE } from '../chaos/stage.ts'
import { makeWorld, PATIENT, type World } from './world.ts'

const ROOM = '!room:home.example'

describe('a database that goes away for a moment', () => {
  let world: World
  beforeEach(async () => {
    world = await makeWorld({ settings: PATIENT })
    await world.start()
  })
  afterEach(() => world.stop())

  /** Nobody gets in, and sessions that are in are ended; or everybody may come back. */
  const admit = async (yes: boolean) => {
    const name = new URL(world.databaseUrl).pathname.slice(1)
    await query((await sharedServer()).url, async (client) => {
      await client.query(`alter database ${name} allow_connections ${yes}`)
      if (!yes) {
        await client.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [
          name,
        ])
      }
    })
  }

  it('while a request is under way: the destination is looked at again though nothing new wakes it', async () => {
    const remote = await world.remote()
    // Long enough for what is to happen before the answer comes.
    remote.behave({ kind: 'ok', delayMs: 4_000 })
    const events = [world.event(ROOM), world.event(ROOM)]
    await world.ingest([{ type: 'servers', room_id: ROOM, add: [remote.serverName] }, events[0]!.item])
    await until(() => remote.requests === 1, { what: 'the request' })
    await world.ingest([events[1]!.item])
    await admit(false)
    await until(() => remote.transactions[0]?.answered === true, {
      what: 'the answer, which cannot be written down',
    })
    await new Promise((resolve) => setTimeout(resolve, 300))
    await admit(true)
    // Nor may it be the queue that brings it back: it has lost everything as well.
    await until(() => world.pool.query(EMPTY_QUEUE), { what: 'the queue to be emptied' })
    await until(() => remote.received.has(events[1]!.eventId), { what: 'the second event' })
    await world.quiet()
    expect([...remote.received.keys()]).to.deep.equal(events.map(({ eventId }) => eventId))
    expect(remote.violations).to.deep.equal([])
  })
})
