/** Giving up a lot at once leaves everybody else time to send: each commit of it makes what was planned in vain. */
import { expect } from 'chai'
import { giveUpOld, type Needed } from '../../../src/store/upkeep/kept-events.ts'
import { event, HOUR, servers } from '../../ingest/ingest-world.ts'
import { makeRetentionWorld, type RetentionWorld } from './retention-world.ts'

describe('what is given up in many commits', () => {
  let world: RetentionWorld
  let needed: Needed
  beforeEach(async () => {
    world = await makeRetentionWorld()
    await world.take([servers({ add: ['b.example'] }), ...Array.from({ length: 9 }, () => event())])
    await world.rows('update stream set head = 5000')
    await world.rows(
      `insert into kept_events (pos, room, event_id, sender, pdu, received_ts)
       select n, 1, 'k' || n, 's', '{}', 0 from generate_series(1, 3500) n`,
    )
    await world.passes(3 * HOUR)
    needed = { owed: new Map(Array.from({ length: 3500 }, (_, n) => [n + 1, 2])), open: new Set() }
  })
  afterEach(() => world.close())

  const count = async (what: string) => Number(await world.value(`select count(*) from ${what}`))
  const erased = () => count(`changes where kind = 'erase'`)

  it('rests between any two of them', async () => {
    const rests: number[] = []
    const pairs = await giveUpOld(world.pool, needed, HOUR, async () => {
      rests.push(await erased())
    })
    expect(pairs).to.equal(7000)
    expect(rests).to.deep.equal([1, 2, 3])
    expect([await erased(), await count('kept_events')]).to.deep.equal([4, 0])
  })

  it('goes on at another look where a rest is cut off by the end of the process', async () => {
    const stopped = await giveUpOld(world.pool, needed, HOUR, () =>
      Promise.reject(new Error('stopped')),
    ).catch(String)
    expect(stopped).to.include('stopped')
    expect(await count('kept_events')).to.equal(2500)
    expect(await giveUpOld(world.pool, needed, HOUR)).to.equal(5000)
  })

  it('spares what an unanswered transaction is made of, wherever its ends are', async () => {
    await world.rows(
      `insert into open_transactions (destination, txn_id, origin_server_ts, bytes, created_at, started_at, worker, positions, lanes, from_pos, to_pos)
       select n.id, 't', 0, 10, 0, 0, gen_random_uuid(), n.positions, 't', 0, 2
         from (values (1, '{1500,3400}'::bigint[]), (2, '{1,2000,3500}'), (3, '{1001}'), (4, '{4000}')) n (id, positions)`,
    )
    await giveUpOld(world.pool, needed, HOUR)
    const left = await world.rows<{ pos: number }>('select pos from kept_events order by pos')
    expect(left.map(({ pos }) => pos)).to.deep.equal([1, 1001, 1500, 2000, 3400, 3500])
  })

  it('of a whole look of retention, too', async () => {
    const rested: number[] = []
    await world.rows('update stream set log_floor = 4000')
    await world.rows(
      `insert into gaps (destination, from_pos, to_pos, cursor, opened_at) select id, 0, 4000, 0, 0 from destinations`,
    )
    await world.rows(
      `insert into recipients (hash, exact, list, less, head) select 'h', true, array[id], '{}', 4000 from destinations`,
    )
    // Of a room in which it is not: all of them are owed.
    await world.rows(`insert into rooms (id, room_id) values (99, '!other:home.example')`)
    await world.rows('update kept_events set room = 99, recipients = (select id from recipients)')
    await world.retain({
      settings: { events_ms: 2 * HOUR, event_ids_ms: HOUR, newest_event_ms: HOUR },
      rest: (ms) => {
        rested.push(ms)
        return Promise.resolve()
      },
    })
    expect(await count('kept_events')).to.equal(0)
    expect(rested).to.have.length(3)
    expect(Math.min(...rested)).to.be.at.least(1_000)
  })
})
