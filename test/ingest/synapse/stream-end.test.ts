/** Nothing is read past a number that may still come: not without the writer's word, and not by the word of one of several. */
import { expect } from 'chai'
import type { PoolClient } from 'pg'
import type { Clock } from '../../../src/pace/clock.ts'
import { systemClock } from '../../../src/pace/clock.ts'
import { COLUMNS } from '../../../src/ingest/synapse/check.ts'
import { LATE_MS, MOST_SOON_MS, SOON_MS } from '../../../src/ingest/synapse/settled.ts'
import { makeStreamEnd, type StreamEnd } from '../../../src/ingest/synapse/stream-end.ts'
import { holdTransaction } from '../../support/hold.ts'
import { limpetFor, type Limpet } from './limpet.ts'
import { synapseTables, type SynapseTables } from './tables.ts'

const alice = '@alice:a.example'
const bob = '@bob:b.example'
const OTHER = '!other:a.example'

describe('the end of a Synapse’s stream', () => {
  let synapse: SynapseTables
  let limpet: Limpet
  let running: ReturnType<Limpet['follow']>[]
  const held = new Set<PoolClient>()
  /** How far this test has put the clock forward. */
  let passed: number
  let end: StreamEnd
  const clock: Clock = { ...systemClock, monotonic: () => systemClock.monotonic() + passed }

  beforeEach(async () => {
    synapse = await synapseTables()
    limpet = limpetFor(synapse.pool)
    running = []
    passed = 0
    end = makeStreamEnd({ db: synapse.pool, clock })
    for (const [i, user] of [alice, bob].entries())
      await synapse.write({ at: i + 1, sender: user, member: { user, membership: 'join' } })
    await synapse.write({ at: 3, sender: alice })
    await synapse.finishedUpTo(3)
  })
  afterEach(async () => {
    for (const one of running) await one.stop()
    for (const slow of held) {
      await slow.query('rollback')
      slow.release()
    }
    held.clear()
    await synapse.close()
  })
  const follow = (options?: Parameters<Limpet['follow']>[0]) => {
    const one = limpet.follow({ clock, ...options })
    running.push(one)
    return one
  }
  const says = (at: number, room?: string) =>
    synapse.write({ at, sender: alice, ...(room === undefined ? {} : { room, parents: [] }) })
  const safe = async (place: number | null) => (await end.look(place, [])).safe
  /** An event at `at` whose transaction hangs. */
  async function dawdles(at: number) {
    const slow = await holdTransaction(synapse.pool)
    held.add(slow)
    await synapse.write({ at, sender: alice }, slow)
    return async () => {
      held.delete(slow)
      await slow.query('commit')
      slow.release()
    }
  }

  for (const redis of [false, true]) {
    it(`loses nothing after a writer was renamed${redis ? ', woken by Redis' : ''}: its row is awaited`, async () => {
      let ring: (message: string) => void = () => undefined
      follow(redis ? { subscribe: (_channel, on) => (ring = on) } : {})
      await limpet.reaches(3)
      await synapse.renamedWriter()
      const commits = await dawdles(4)
      await says(5, OTHER)
      ring('POSITION events event_persister1 3 3')
      await synapse.lookedAt(10)
      passed += 10 * 60_000
      await synapse.lookedAt(10)
      expect(limpet.token()).to.equal('events=3')
      await commits()
      await synapse.finishedUpTo(5, 'event_persister1')
      await limpet.reaches(5)
      expect(limpet.lines).to.deep.equal(['set b.example', 'set', 'event $4', 'event $5 to nobody'])
    })
  }

  it('takes what is there without a gap, a moment later, where no writer has noted anything', async () => {
    await synapse.renamedWriter()
    expect(await safe(3)).to.equal(3)
    await says(4)
    await says(5)
    expect(await safe(3)).to.equal(3)
    passed += SOON_MS
    expect(await safe(3)).to.equal(5)
  })

  it('passes a gap without a row only after what Synapse may take to fill it, and never while a transaction is open', async () => {
    await synapse.renamedWriter()
    await safe(3)
    const commits = await dawdles(4)
    await says(5, OTHER)
    passed += 1_000
    expect(await safe(3)).to.equal(3)
    passed += LATE_MS
    expect(await safe(3)).to.equal(3)
    await commits()
    await synapse.write({ at: 7, sender: alice })
    passed += 1_000
    expect(await safe(3)).to.equal(5)
    passed += LATE_MS - 1_000
    expect(await safe(3)).to.equal(5)
    passed += 1_000
    expect(await safe(3)).to.equal(7)
  })

  it('begins its first start without a row only where nothing can come below', async () => {
    await says(5)
    await synapse.renamedWriter()
    follow()
    await synapse.lookedAt(10)
    passed += LATE_MS - 1_000
    await synapse.lookedAt(10)
    expect(limpet.token()).to.equal(null)
    expect(limpet.logged.join()).to.contain('no event writer has noted a place yet')
    passed += 1_000
    await limpet.reaches(5)
  })

  it('does not pass what a second writer has not committed, and loses nothing when there is one again', async () => {
    const one = follow()
    await limpet.reaches(3)
    const commits = await dawdles(4)
    await says(5, OTHER)
    await synapse.finishedUpTo(5)
    await synapse.lookedAt(10)
    passed += MOST_SOON_MS - 1_000
    await synapse.lookedAt(10)
    expect(limpet.token()).to.equal('events=3')
    await commits()
    await synapse.finishedUpTo(4, 'p2')
    expect(String(await one.ended)).to.contain('several event writers (master, p2)')
    expect(limpet.token()).to.match(/^events=[345]$/)
    await synapse.pool.query(`delete from stream_positions where instance_name = 'p2'`)
    follow()
    await limpet.reaches(5)
    expect(limpet.lines).to.include('event $4')
  })

  it('is held up for seconds by a write that failed after it had its number, and by a busy neighbour for ten at most', async () => {
    await says(5)
    await synapse.finishedUpTo(5)
    expect(await safe(3)).to.equal(3)
    passed += SOON_MS
    expect(await safe(3)).to.equal(5)
    const neighbour = await holdTransaction(synapse.pool)
    held.add(neighbour)
    await neighbour.query('select pg_current_xact_id()')
    await says(7)
    await synapse.finishedUpTo(7)
    expect(await safe(5)).to.equal(5)
    passed += SOON_MS
    expect(await safe(5)).to.equal(5)
    passed += MOST_SOON_MS - SOON_MS
    expect(await safe(5)).to.equal(7)
  })

  it('is not held up by the number of an event that Synapse had as an outlier before, where that table may be read', async () => {
    await synapse.pool.query(`insert into ex_outlier_stream values (4, '$old', 1, 'master')`)
    await says(5)
    await synapse.finishedUpTo(5)
    expect(await safe(3)).to.equal(5)
    const tables = [...Object.keys(COLUMNS), 'schema_version', 'users']
    const one = makeStreamEnd({ db: await synapse.reader(tables), clock })
    expect((await one.look(3, [])).safe).to.equal(3)
    passed += SOON_MS
    expect((await one.look(3, [])).safe).to.equal(5)
  })

  it('is not held up by numbers of changes of state, nor by what was missing when we came', async () => {
    await synapse.pool.query(
      `insert into current_state_delta_stream values (4, $1, 'm.room.topic', '', null, null, 'master')`,
      [synapse.room],
    )
    await says(5)
    await synapse.finishedUpTo(5)
    expect(await safe(3)).to.equal(5)
    await synapse.pool.query(
      `insert into events (stream_ordering, topological_ordering, processed, event_id, room_id, sender, type, outlier)
       select n, 1, true, '$x' || n, $1, $2, 'm.room.message', false from generate_series(7, 4007, 2) n`,
      [OTHER, bob],
    )
    await synapse.finishedUpTo(4007)
    expect(await safe(5)).to.equal(5)
    passed += SOON_MS
    expect(await safe(5)).to.equal(4007)
  })

  it('waits for the next write with the last event before a crash of Synapse', async () => {
    await says(4)
    passed += LATE_MS
    expect(await safe(3)).to.equal(3)
    await says(5)
    await synapse.finishedUpTo(5)
    expect(await safe(3)).to.equal(5)
  })
})
