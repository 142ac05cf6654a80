/** A Synapse's database that was restored to an older state: nothing is taken until an operator says so, and then nothing is lost. */
import { expect } from 'chai'
import { until } from '../../support/poll.ts'
import { limpetFor, type Limpet } from './limpet.ts'
import { synapseTables, type SynapseTables } from './tables.ts'

const alice = '@alice:a.example'
const bob = '@bob:b.example'
const carol = '@carol:c.example'
const SECOND = '!second:a.example'

describe('a Synapse’s database that was restored', () => {
  let synapse: SynapseTables
  let limpet: Limpet
  let running: ReturnType<Limpet['follow']>[]

  beforeEach(async () => {
    synapse = await synapseTables()
    limpet = limpetFor(synapse.pool)
    running = []
  })
  afterEach(async () => {
    for (const one of running) await one.stop()
    await synapse.close()
  })
  const follow = () => {
    const one = limpet.follow()
    running.push(one)
    return one
  }
  const joins = (at: number, user: string) =>
    synapse.write({ at, sender: user, member: { user, membership: 'join' } })
  const leaves = (at: number, user: string) =>
    synapse.write({ at, sender: user, member: { user, membership: 'leave' } })
  const says = (at: number, json: object = {}) => synapse.write({ at, sender: alice, json })
  const says4to = async (last: number) => {
    for (let at = 4; at <= last; at += 1) await says(at)
    await synapse.finishedUpTo(last)
    await limpet.reaches(last)
  }
  const events = () => limpet.lines.filter((line) => line.startsWith('event'))
  const stops = () =>
    until(() => limpet.logged.some((line) => line.includes('was restored to an older state')), {
      what: 'it to say that the database was restored',
      withinMs: 5_000,
    })

  /** Alice, Bob and Carol in a room at 3, dumped; then two messages, and both limpet and the stream are at 5. */
  async function dumpedAt3(): Promise<{ restore(): Promise<void> }> {
    await joins(1, alice)
    await joins(2, bob)
    await joins(3, carol)
    await synapse.finishedUpTo(3)
    follow()
    await limpet.reaches(3)
    await synapse.lookedAt()
    return synapse.dump()
  }

  for (const stopped of [false, true]) {
    const when = stopped ? 'while limpet was stopped' : 'while limpet ran'

    it(`${when}: the new events wait for an operator, then all are sent, and to nobody who left`, async () => {
      const dump = await dumpedAt3()
      await says4to(8)
      await synapse.lookedAt()
      if (stopped) await running.pop()?.stop()
      await dump.restore()
      await leaves(4, bob)
      await says(5)
      for (let at = 6; at <= 10; at += 1) await says(at, at === 9 ? { sticky: true } : {})
      await synapse.finishedUpTo(10)
      if (stopped) follow()
      await stops()
      await synapse.lookedAt(6)
      expect(limpet.token()).to.equal('events=8')
      expect(events()).to.deep.equal([4, 5, 6, 7, 8].map((at) => `event $${at}`))

      await limpet.goOn()
      await limpet.reaches(10)
      // Bob's server is told as gone before anything that it must not get.
      expect(limpet.lines.slice(6)).to.deep.equal([
        'set c.example',
        'set b.example c.example',
        '-b.example',
        ...[5, 6, 7, 8, 9, 10].map((at) => `event $${at}'`),
      ])
    })
  }

  it('is noticed at once where its stream ends before our place, and nothing of it is taken when it has come past that', async () => {
    const dump = await dumpedAt3()
    await says4to(5)
    await dump.restore()
    await stops()
    for (let at = 4; at <= 9; at += 1) await says(at)
    await synapse.finishedUpTo(9)
    await synapse.lookedAt(6)
    expect(limpet.token()).to.equal('events=5')
    await running.pop()?.stop()
    follow()
    await synapse.lookedAt(6)
    expect(limpet.token()).to.equal('events=5')
    await limpet.goOn()
    await limpet.reaches(9)
    expect(events().slice(2)).to.deep.equal([4, 5, 6, 7, 8, 9].map((at) => `event $${at}'`))
  })

  it('has all known rooms told anew before anything else, also those in which nothing happens', async () => {
    await synapse.pool.query('insert into rooms (room_id, room_version) values ($1, 11)', [SECOND])
    const dump = await dumpedAt3()
    await synapse.write({
      at: 4,
      sender: bob,
      room: SECOND,
      member: { user: bob, membership: 'join' },
      parents: [],
    })
    await synapse.write({ at: 5, sender: alice, room: SECOND })
    await synapse.write({ at: 6, sender: alice })
    await synapse.finishedUpTo(6)
    await limpet.reaches(6)
    await dump.restore()
    await leaves(4, carol)
    await synapse.finishedUpTo(4)
    await stops()
    const before = limpet.lines.length
    await limpet.goOn()
    await limpet.reaches(4)
    // Once by the page, and once with the first event or change, as after any start.
    expect(limpet.lines.slice(before)).to.deep.equal([
      'set b.example',
      'set',
      'set b.example c.example',
      '-c.example',
    ])
  })

  it('is not seen where events are purged, nor where a token of before has no anchors', async () => {
    await dumpedAt3()
    await says4to(6)
    await synapse.lookedAt()
    await synapse.pool.query('delete from events where stream_ordering in (5, 6)')
    await running.pop()?.stop()
    follow()
    await says(7)
    await synapse.finishedUpTo(7)
    await limpet.reaches(7)
    expect(events()).to.include('event $7')
  })

  it('is not seen in a standby that lags: that one is waited for', async () => {
    await dumpedAt3()
    await says4to(5)
    await synapse.lookedAt()
    const { makeRestoredWatch } = await import('../../../src/ingest/synapse/restored.ts')
    const { timelineInMemory } = await import('../../../src/ingest/synapse/timeline.ts')
    const { pino } = await import('pino')
    const watch = makeRestoredWatch({
      store: timelineInMemory(),
      monotonic: () => 0,
      log: pino({ level: 'silent' }),
    })
    await watch.passed(5, { at: 5, eventId: '$5' })
    const look: Parameters<typeof watch.judge>[0] = {
      noted: 4,
      newest: 4,
      found: [],
      standby: true,
      server: 'one',
    }
    expect(await watch.judge(look, 5)).to.deep.equal({ kind: 'same' })
    expect((await watch.judge({ ...look, found: [{ at: 5, eventId: "$5'" }] }, 5)).kind).to.equal('stopped')
  })
})
