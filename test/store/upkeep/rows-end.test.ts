/** No row waits for a server that never comes back: what the dead are owed does not grow, and ends with the log. */
import { expect } from 'chai'
import { nowMs } from '../../../src/store/db.ts'
import { openGap } from '../../../src/store/delivery/gaps.ts'
import { removeOld } from '../../../src/store/upkeep/housekeeping.ts'
import { registerWorker } from '../../../src/store/delivery/leases.ts'
import { noteLapsed } from '../../../src/store/delivery/sticky-lane.ts'
import { findForgotten, findOwed, markMissed } from '../../../src/store/delivery/wake-lists.ts'
import { event, HOUR, servers, sticky } from '../../ingest/ingest-world.ts'
import { DAY, makeRetentionWorld, type RetentionWorld } from './retention-world.ts'
import { takeDestination } from '../../support/one.ts'

const WORKER = '00000000-0000-4000-8000-000000000001'
const MINUTE = 60_000

describe('rows that concern servers which never come back', () => {
  let world: RetentionWorld
  beforeEach(async () => {
    world = await makeRetentionWorld()
  })
  afterEach(() => world.close())

  const count = async (table: string) => Number(await world.value(`select count(*) from ${table}`))
  const sweep = async () => {
    const lapsed = await noteLapsed(world.pool, await nowMs(world.pool), null)
    await removeOld(world.pool, DAY)
    return lapsed
  }
  async function deadWithGaps(count: number): Promise<void> {
    const names = Array.from({ length: count }, (_, n) => `dead${n}.example`)
    await world.take([servers({ add: names }), event(), event()])
    await registerWorker(world.pool, { id: WORKER, name: 'w', leaseMs: HOUR })
    for (const name of names) {
      const taken = await takeDestination(world.pool, WORKER, name)
      if (taken.kind !== 'taken') throw new Error(taken.kind)
      expect(await openGap(world.pool, taken.held, { from: 0, to: await world.head() })).to.equal(0)
    }
    await world.rows('update destinations set lease_owner = null')
  }

  it('what lapses for servers with an open gap is counted once, and leaves no row', async () => {
    await deadWithGaps(5)
    for (let day = 0; day < 3; day += 1) {
      const originServerTs = await world.now()
      await world.take([sticky({ originServerTs }), sticky({ originServerTs })])
      expect(await sweep(), 'while it is sticky').to.equal(0)
      await world.passes(HOUR + MINUTE)
      expect([await sweep(), await sweep()]).to.deep.equal([10, 0])
      await world.passes(30 * MINUTE)
      expect(await sweep()).to.equal(0)
    }
    expect([await count('replays'), await count('sticky')]).to.deep.equal([0, 0])
  })

  it('what had lapsed when a gap is opened is counted then, and not again', async () => {
    await world.take([servers({ add: ['b.example'] }), sticky(), event()])
    await world.passes(HOUR + MINUTE)
    expect(await sweep(), 'the timeline owes it as any event').to.equal(0)
    await registerWorker(world.pool, { id: WORKER, name: 'w', leaseMs: HOUR })
    const taken = await takeDestination(world.pool, WORKER, 'b.example')
    if (taken.kind !== 'taken') throw new Error(taken.kind)
    expect(await openGap(world.pool, taken.held, { from: 0, to: await world.head() })).to.equal(1)
    expect([await sweep(), await sweep(), await count('replays')]).to.deep.equal([0, 0, 0])
  })

  it('a join whose sticky events are over goes, and one that came again meanwhile stays', async () => {
    await world.take([servers({ add: ['a.example'] }), sticky()])
    await world.take([servers({ add: ['b.example'] })])
    expect(await count('sticky_owed')).to.equal(1)
    await world.passes(30 * MINUTE)
    await world.take([sticky({ originServerTs: await world.now() }), servers({ remove: ['b.example'] })])
    await world.take([servers({ add: ['b.example'] })])
    await world.passes(45 * MINUTE)
    expect(await sweep(), 'the first lapsed unsent').to.equal(1)
    expect(await count('sticky_owed'), 'the second is sticky still').to.equal(1)
    await world.passes(HOUR)
    expect(await sweep()).to.equal(1)
    await world.passes(HOUR)
    await sweep()
    expect(await count('sticky_owed')).to.equal(0)
  })

  it('notes of what was sent, and memberships that ended, go with what they are about', async () => {
    await world.take([servers({ add: ['b.example'] }), sticky(), sticky()])
    const own = '!own:home.example'
    await world.take([servers({ add: ['b.example'] }, own), servers({ remove: ['b.example'] }, own)])
    await world.rows(
      `insert into replays (destination, pos, state, expires_at, at)
       select 1, pos, 'sent', sticky_until, received_ts from events`,
    )
    await world.rows(
      `insert into gaps (destination, from_pos, to_pos, cursor, opened_at) values (1, 0, 3, 0, 0)`,
    )
    await world.passes(DAY)
    await world.passes(2 * DAY)
    await sweep()
    expect(await count('replays'), 'catch-up would meet it').to.equal(2)
    await world.retain()
    await world.retain()
    await sweep()
    expect([await count('replays'), await world.memberships(own)]).to.deep.equal([0, []])
    expect(await world.destination('b.example'), 'which is where it was').to.include({ position: 0 })
  })

  it('a note of what was sent of a room that waits stays until the room has come past it', async () => {
    const other = '!other:home.example'
    await world.take([servers({ add: ['b.example'] }), servers({ add: ['b.example'] }, other)])
    await world.take([sticky(), sticky({ room: other })])
    await world.rows('update destinations set position = 4')
    await world.rows(
      `insert into replays (destination, pos, state, expires_at, at)
       select 1, pos, 'sent', sticky_until, received_ts from events`,
    )
    await world.rows(
      `insert into waiting_rooms (destination, room, cursor, held_since) select 1, room, 2, 0 from events where pos = 3`,
    )
    await world.passes(DAY)
    await world.passes(2 * DAY)
    await sweep()
    expect(await world.rows('select pos from replays')).to.deep.equal([{ pos: 3 }])
    await world.rows('update waiting_rooms set cursor = 3')
    await sweep()
    expect(await count('replays')).to.equal(0)
  })

  it('changes go with the log, also where nobody delivers', async () => {
    await world.take([servers({ add: ['b.example'] }), event()])
    await world.passes(3 * HOUR)
    await world.retain()
    expect(await world.rows(`select kind from changes where kind = 'servers'`)).to.deep.equal([])
  })

  // A queue that swallowed its wakes kept it for as long as it was sticky.
  it('who has only to be sent again what it did not list is missed like everybody, and served', async () => {
    const miss = async () => markMissed(world.pool, await findOwed(world.pool))
    await world.take([servers({ add: ['b.example', 'gone.example'] }), sticky()])
    await world.rows('update destinations set position = 2')
    await world.rows(
      `insert into replays (destination, pos, state, next_at, expires_at, at)
       select d.id, 2, 'unlisted', now_ms() + 15000, now_ms() + 3600000, now_ms() from destinations d`,
    )
    await world.take([servers({ remove: ['gone.example'] })])
    await miss()
    expect(await findForgotten(world.pool, 10)).to.deep.equal([])
    await world.later(16_000)
    for (let n = 0; n < 2; n += 1) await miss()
    expect(await findForgotten(world.pool, 10)).to.deep.equal(['b.example'])
    await world.later(HOUR)
    await world.rows('update destinations set missed = 0')
    for (let n = 0; n < 2; n += 1) await miss()
    expect(await findForgotten(world.pool, 10), 'once it has lapsed').to.deep.equal([])
  })
})
