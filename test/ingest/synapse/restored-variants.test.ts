/** Restores of a Synapse's database as they come in practice: noticed whenever they come, and after one command nothing is lost. */
import { expect } from 'chai'
import { pino } from 'pino'
import { makeRestoredWatch } from '../../../src/ingest/synapse/restored.ts'
import { timelineInMemory } from '../../../src/ingest/synapse/timeline.ts'
import type { Pool } from '../../../src/store/db.ts'
import { until } from '../../support/poll.ts'
import { deleteRoom } from './happenings.ts'
import { limpetFor, type Limpet } from './limpet.ts'
import { synapseTables, type SynapseTables } from './tables.ts'

const alice = '@alice:a.example'
const bob = '@bob:b.example'
const carol = '@carol:c.example'

describe('a Synapse’s database that was restored', () => {
  let synapse: SynapseTables
  let limpet: Limpet
  let running: ReturnType<Limpet['follow']>[]
  /** What stands before Synapse's database: whether it is away, and which server answers. */
  let door: { away: boolean; server: string }

  beforeEach(async () => {
    synapse = await synapseTables()
    door = { away: false, server: '' }
    limpet = limpetFor(behind(synapse.pool, door))
    running = []
  })
  afterEach(async () => {
    for (const one of running) await one.stop()
    await synapse.close()
  })
  const follow = () => running.push(limpet.follow())
  const stop = async () => {
    for (const one of running.splice(0)) await one.stop()
  }
  const joins = (at: number, user: string) =>
    synapse.write({ at, sender: user, member: { user, membership: 'join' } })
  const leaves = (at: number, user: string) =>
    synapse.write({ at, sender: user, member: { user, membership: 'leave' } })
  const says = async (from: number, to = from) => {
    for (let at = from; at <= to; at += 1) await synapse.write({ at, sender: alice })
  }
  /** Written, and taken by limpet with a look of its own, so that each is remembered. */
  const saysOneByOne = async (from: number, to: number) => {
    for (let at = from; at <= to; at += 1) {
      await says(at)
      await taken(at)
    }
  }
  const taken = async (upTo: number) => {
    await synapse.finishedUpTo(upTo)
    await limpet.reaches(upTo)
    await synapse.lookedAt()
  }
  const saidSo = () => limpet.logged.filter((line) => line.includes('was restored to an older state')).length
  const stops = (times = 1) =>
    until(() => saidSo() === times, { what: 'it to say that the database was restored', withinMs: 5_000 })
  const sent = () => limpet.lines.filter((line) => line.startsWith('event'))
  const anew = (from: number, to: number, mark = "'") =>
    Array.from({ length: to - from + 1 }, (_, i) => `event $${from + i}${mark}`)
  /** Three servers' users in the room, read by limpet. */
  async function begun(): Promise<void> {
    await joins(1, alice)
    await joins(2, bob)
    await joins(3, carol)
    await synapse.finishedUpTo(3)
    follow()
    await taken(3)
  }

  it('is noticed at the first look that succeeds after others failed, however far it has come since', async () => {
    await begun()
    const dump = await synapse.dump()
    await saysOneByOne(4, 7)
    door.away = true
    await until(() => limpet.logged.join().includes('could not be read'), {
      what: 'a look to fail',
    })
    await dump.restore()
    await says(4, 12)
    await synapse.finishedUpTo(12)
    door.away = false
    await stops()
    await synapse.lookedAt(6)
    expect([limpet.token(), sent()]).to.deep.equal(['events=7', anew(4, 7, '')])
    await limpet.goOn()
    await limpet.reaches(12)
    expect(sent().slice(4)).to.deep.equal(anew(4, 12))
  })

  for (const stopped of [false, true])
    it(`to a moment before limpet’s first read${stopped ? ', while it was stopped' : ''}: what was written since is sent`, async () => {
      await joins(1, alice)
      await joins(2, bob)
      await says(3, 4)
      await synapse.finishedUpTo(4)
      const dump = await synapse.dump()
      await says(5, 9)
      await synapse.finishedUpTo(9)
      follow()
      await taken(9)
      if (stopped) await stop()
      await dump.restore()
      await says(5, 11)
      await synapse.finishedUpTo(11)
      if (stopped) follow()
      await stops()
      await limpet.goOn()
      await limpet.reaches(11)
      expect(sent()).to.include.members(anew(5, 11))
      await synapse.lookedAt()
      expect(saidSo()).to.equal(1)
    })

  it('of which nothing stands that limpet remembers is followed from its end, after one command', async () => {
    const dump = await synapse.dump()
    await joins(1, alice)
    await joins(2, bob)
    await synapse.finishedUpTo(2)
    follow()
    await taken(2)
    await saysOneByOne(3, 6)
    await dump.restore()
    await joins(1, alice)
    await joins(2, carol)
    await says(3, 8)
    await synapse.finishedUpTo(8)
    await stops()
    await limpet.goOn()
    await limpet.reaches(8)
    await says(9)
    await taken(9)
    expect(limpet.lines.slice(-3)).to.deep.equal(['set c.example', 'set c.example', "event $9'"])
    expect(saidSo()).to.equal(1)
  })

  it('twice before anybody said to go on is followed from the last place that all three have', async () => {
    await begun()
    const first = await synapse.dump()
    await saysOneByOne(4, 5)
    const second = await synapse.dump()
    await saysOneByOne(6, 8)
    await second.restore()
    await says(6, 7)
    await synapse.finishedUpTo(7)
    await stops()
    await first.restore()
    await says(4, 10)
    await synapse.finishedUpTo(10)
    await synapse.lookedAt(6)
    expect(limpet.token()).to.equal('events=8')
    await limpet.goOn()
    await limpet.reaches(10)
    expect(sent().slice(5)).to.deep.equal(anew(4, 10, "''"))
  })

  it('again, after limpet has gone on, is noticed again, by a process that takes over as well', async () => {
    await begun()
    const dump = await synapse.dump()
    await saysOneByOne(4, 6)
    await dump.restore()
    await says(4, 5)
    await synapse.finishedUpTo(5)
    await stops()
    await limpet.goOn()
    await limpet.reaches(5)
    await saysOneByOne(6, 8)
    await stop()
    await dump.restore()
    await says(4, 10)
    await synapse.finishedUpTo(10)
    follow()
    await stops(2)
    await stop()
    follow()
    await synapse.lookedAt(6)
    expect(limpet.token()).to.equal('events=8')
    await limpet.goOn()
    await limpet.reaches(10)
    expect(sent().slice(-7)).to.deep.equal(anew(4, 10, "''"))
  })

  it('with rooms whose states have the numbers of others by then is asked for them anew', async () => {
    await begun()
    const dump = await synapse.dump()
    await leaves(4, bob)
    await says(5)
    await taken(5)
    await dump.restore()
    await joins(4, '@dave:d.example')
    await says(5, 6)
    await synapse.finishedUpTo(6)
    await stops()
    await limpet.goOn()
    await limpet.reaches(6)
    // Nobody but those in the room: an old state would say "not b.example", or not know of d.example.
    expect(sent().slice(1)).to.deep.equal(["event $5'", "event $6'"])
    expect(limpet.lines).to.include('+d.example')
  })

  it('brings back a room that was purged, with its servers', async () => {
    await begun()
    const dump = await synapse.dump()
    await says(4)
    await taken(4)
    await deleteRoom(synapse, 5)
    await synapse.finishedUpTo(5)
    await until(() => limpet.lines.includes(`purge ${synapse.room}`), { what: 'the purge' })
    await dump.restore()
    await says(4, 6)
    await synapse.finishedUpTo(6)
    await stops()
    await limpet.goOn()
    await limpet.reaches(6)
    expect(limpet.lines.slice(-4)).to.deep.equal(['set b.example c.example', ...anew(4, 6)])
  })

  it('in which the writers’ places were deleted, as Synapse advises after some restores, is noticed by its events', async () => {
    await begun()
    const dump = await synapse.dump()
    await saysOneByOne(4, 6)
    door.away = true
    await dump.restore()
    await synapse.renamedWriter()
    door.away = false
    await synapse.lookedAt(6)
    expect(saidSo()).to.equal(0)
    await says(4, 8)
    await stops()
    expect(limpet.token()).to.equal('events=6')
    await synapse.finishedUpTo(8)
    await limpet.goOn()
    await limpet.reaches(8)
    expect(sent().slice(3)).to.deep.equal(anew(4, 8))
  })

  it('and gave up the number of the newest event that limpet remembers, is noticed by those before', async () => {
    await begun()
    const dump = await synapse.dump()
    await saysOneByOne(4, 7)
    await stop()
    await dump.restore()
    await says(4, 6)
    await says(8, 9)
    await synapse.finishedUpTo(9)
    follow()
    await stops()
    expect(sent()).to.deep.equal(anew(4, 7, ''))
  })

  for (const stopped of [false, true])
    it(`a standby that took over without the last commits${stopped ? ', while limpet was stopped,' : ''} has all rooms told anew`, async () => {
      await begun()
      const dump = await synapse.dump()
      await joins(4, '@dave:d.example')
      await taken(4)
      await leaves(5, bob)
      await taken(5)
      expect(limpet.lines.slice(1)).to.deep.equal(['+d.example', '-b.example'])
      if (stopped) await stop()
      else door.away = true
      await dump.restore()
      // It gives out numbers only beyond those that its log had set aside.
      await says(38)
      await synapse.finishedUpTo(38)
      Object.assign(door, { away: false, server: 'the other one' })
      if (stopped) follow()
      await limpet.reaches(38)
      expect(limpet.lines.slice(3)).to.deep.equal([
        'set b.example c.example',
        'set b.example c.example',
        "event $38'",
      ])
      expect(saidSo()).to.equal(0)
    })

  it('is not suspected where another server has all that was read, or lags', async () => {
    const watch = makeRestoredWatch({
      store: timelineInMemory(),
      monotonic: () => 0,
      log: pino({ level: 'silent' }),
    })
    await watch.passed(5, { at: 5, eventId: '$5' })
    const found = [{ at: 5, eventId: '$5' }]
    const look = { noted: 5, newest: 5, found, standby: false, server: 'one' }
    for (const one of [
      look,
      { ...look, server: 'two' },
      { ...look, server: 'three', noted: 4, newest: 4, found: [], standby: true },
    ]) {
      expect((await watch.judge(one, 5)).kind).to.equal('same')
      expect(watch.toldUpTo()).to.equal(null)
    }
    await watch.judge({ ...look, server: 'four', found: [] }, 5)
    expect(watch.toldUpTo()).to.equal(0)
  })
})

/** `pool` as it is found at an address: now and then away, now and then another server. */
function behind(pool: Pool, door: { away: boolean; server: string }): Pool {
  const query = async (text: string, values: unknown[]) => {
    if (door.away) throw new Error('the database is away')
    const answer = await pool.query<{ server?: string | null }>(text, values)
    for (const row of answer.rows)
      if (typeof row.server === 'string' && / \d{4}-/.test(row.server)) row.server += door.server
    return answer
  }
  return { query } as unknown as Pool
}
