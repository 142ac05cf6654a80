import { expect } from 'chai'
import { lockContent } from '../../../src/store/stream.ts'
import { registerWorker, giveWay } from '../../../src/store/delivery/leases.ts'
import { removeOld } from '../../../src/store/upkeep/housekeeping.ts'
import { extendLog } from '../../../src/store/upkeep/log-partitions.ts'
import { inTransaction } from '../../../src/store/db.ts'
import { readGapRooms } from '../../../src/store/delivery/gap-rooms.ts'
import { event, HOUR, purge, redact, servers, sticky, type GivenEvent } from '../../ingest/ingest-world.ts'
import { holdTransaction } from '../../support/hold.ts'
import { until } from '../../support/poll.ts'
import { DAY, makeRetentionWorld, SETTINGS, type RetentionWorld } from './retention-world.ts'
import { takeDestination } from '../../support/one.ts'

const DETACHING = `from pg_stat_activity where datname = current_database() and query like '%/* detach a partition */%' and wait_event_type = 'Lock'`
const WORKER = '00000000-0000-4000-8000-000000000001'
const ids = (events: readonly GivenEvent[]) => events.map(({ event_id }) => event_id)

describe('retention', () => {
  let world: RetentionWorld
  beforeEach(async () => {
    world = await makeRetentionWorld()
  })
  afterEach(() => world.close())

  /** b is owed the last two of three, one by one: in its room, and addressed to it alone. c is owed nothing. */
  async function someLog() {
    const [first, second, alone] = [
      event(),
      event(),
      event({ room: '!x:home.example', also: { to: ['b.example'] } }),
    ]
    await world.take([servers({ set: ['b.example'] }), servers({ set: ['c.example'] }, '!y:home.example')])
    await world.take([first, second, alone])
    return { first, second, alone }
  }
  const gapOf = async (name: string) => {
    const { id, ...gap } = await world.destination(name)
    return (await readGapRooms(world.pool, id, gap, { rows: 100, bytes: 1e9 })).pdus.map(
      ({ eventId }) => eventId,
    )
  }

  it('leaves what is young where it is', async () => {
    const { first, second, alone } = await someLog()
    await world.passes(1.5 * HOUR)
    expect(await world.retain()).to.deep.equal({ dropped: [], waitsFor: null })
    expect(await world.holds()).to.deep.equal({ log: ids([first, second, alone]), kept: [] })
    expect(await world.destinations()).to.deep.equal(['b.example from 0', 'c.example from 1'])
  })

  it('drops what is old, moves on who is owed nothing of it, and keeps for the others what catch-up sends', async () => {
    const { second, alone } = await someLog()
    await world.passes(3 * HOUR)
    expect(await world.retain()).to.deep.equal({ dropped: ['events_0_2000000'], waitsFor: null })
    expect(await world.holds()).to.deep.equal({ log: [], kept: ids([second, alone]) })
    expect(await world.destination('c.example')).to.include({ position: 1_999_999, from: null })
    expect(await world.destination('b.example')).to.include({ position: 0, from: 0, to: 1_999_999 })
    expect(await gapOf('b.example')).to.deep.equal(ids([second, alone]))
    // The stream goes on behind it.
    // One position is the log's own: what was read before it got shorter is read again.
    expect(await world.take([event()])).to.include({ position: 2_000_001 })
    expect(await world.retain()).to.deep.equal({ dropped: [], waitsFor: null })
  })

  it('lets a gap that is open reach as far as the log is gone, and forgets what it no longer needs', async () => {
    const { alone } = await someLog()
    await world.passes(3 * HOUR)
    await world.retain()
    const third = event()
    await world.take([third])
    await world.passes(3 * HOUR)
    expect((await world.retain())?.dropped).to.deep.equal(['events_2000000_4000000'])
    expect(await world.holds()).to.deep.equal({ log: [], kept: ids([alone, third]) })
    expect(await gapOf('b.example')).to.deep.equal(ids([alone, third]))
    await world.rows(`update gaps set closed_at = now_ms()`)
    await world.rows(`update destinations set position = 4000000`)
    await world.passes(2 * HOUR)
    await world.retain()
    expect(await world.holds(), 'once the gap is through').to.deep.equal({ log: [], kept: [] })
  })

  it('moves the counter on daily, or else a log that never fills a partition would stay for ever', async () => {
    await world.take([servers({ set: ['b.example'] }), event()])
    const week = { ...SETTINGS, events_ms: 7 * DAY }
    await world.passes(DAY - HOUR)
    await world.retain({ settings: week })
    expect(await world.take([event()]), 'within the day').to.include({ position: 3 })
    await world.passes(HOUR)
    await world.retain({ settings: week })
    expect(await world.head()).to.equal(1_999_999)
    expect(
      await world.value(`select pos from cursors where name = 'fanout'`),
      'a fanout that is behind',
    ).to.equal(0)
    await world.rows(`update cursors set pos = $1`, [1_999_999])
    expect(await world.take([event()])).to.include({ position: 2_000_000 })
    await world.rows(`update cursors set pos = $1`, [2_000_000])
    await world.passes(DAY)
    await world.retain({ settings: week })
    expect(await world.value(`select pos from cursors where name = 'fanout'`)).to.equal(3_999_999)
    expect((await world.holds()).log).to.have.length(3)
    await world.passes(6 * DAY - HOUR / 2)
    expect((await world.retain({ settings: week }))?.dropped).to.deep.equal(['events_0_2000000'])
  })

  it('counts what it gives up when even the newest event of a room is too old, and goes on', async () => {
    const { second, alone } = await someLog()
    await world.passes(3 * HOUR)
    await world.retain()
    const counted: number[] = []
    const onGivenUp = (count: number) => counted.push(count)
    await world.passes(90 * DAY - 4 * HOUR)
    await world.retain({ onGivenUp })
    expect(await world.holds()).to.deep.include({ kept: ids([second, alone]) })
    await world.passes(2 * HOUR)
    await world.retain({ onGivenUp })
    await world.passes(2 * HOUR)
    await world.retain({ onGivenUp })
    expect(await world.holds()).to.deep.equal({ log: [], kept: [] })
    expect(counted.reduce((sum, count) => sum + count, 0)).to.equal(2)
    expect(await world.value(`select value from counters where name = 'given_up:retention'`)).to.equal(2)
  })

  it('waits for a destination that is being served, and for nothing else', async () => {
    const { second, alone } = await someLog()
    await registerWorker(world.pool, { id: WORKER, name: 'w', leaseMs: 10 * DAY })
    const taken = await takeDestination(world.pool, WORKER, 'b.example')
    if (taken.kind !== 'taken') throw new Error('b is free')
    await world.passes(3 * HOUR)
    expect(await world.retain()).to.deep.equal({ dropped: [], waitsFor: 'destinations' })
    expect((await world.holds()).log).to.have.length(3)
    await giveWay(world.pool, taken.held, 0)
    expect(await world.retain()).to.deep.equal({ dropped: ['events_0_2000000'], waitsFor: null })
    expect(await gapOf('b.example')).to.deep.equal(ids([second, alone]))
  })

  it('lets nobody write whose lease ran out before the gap was written', async () => {
    await someLog()
    await registerWorker(world.pool, { id: WORKER, name: 'w', leaseMs: HOUR })
    const taken = await takeDestination(world.pool, WORKER, 'b.example')
    if (taken.kind !== 'taken') throw new Error('b is free')
    await world.passes(3 * HOUR)
    await world.retain()
    await world.later(-3 * HOUR)
    expect(await giveWay(world.pool, taken.held, 0), 'with the clock set back its lease would hold').to.equal(
      null,
    )
  })

  it('never takes a sticky event that is not long over', async () => {
    await world.take([servers({ set: ['b.example'] }), sticky()])
    await world.passes(HOUR + 1_000)
    await removeOld(world.pool, DAY)
    expect(await world.value('select count(*) from sticky'), 'a row for ten minutes more').to.equal(1)
    await world.passes(10 * 60_000)
    await removeOld(world.pool, DAY)
    expect(await world.value('select count(*) from sticky')).to.equal(0)
    await world.rows(`insert into sticky select pos, room, sticky_until from events`)
    await world.passes(2 * HOUR)
    expect((await world.retain())?.dropped, 'while it counts as sticky').to.deep.equal([])
    await removeOld(world.pool, DAY)
    const counted: number[] = []
    const { dropped } = (await world.retain({ onLapsed: (count) => counted.push(count) }))!
    expect(dropped).to.deep.equal(['events_0_2000000'])
    expect(counted, 'its end is counted for who was owed it').to.deep.equal([1])
  })

  it('has ingest make a partition by itself where nobody keeps house', async () => {
    await world.rows('update stream set head = log_end - 2')
    const taken = await world.take([event(), event(), event()])
    expect(taken.position).to.equal(6_000_001)
    expect((await world.holds()).log).to.have.length(3)
    expect(await world.partitions()).to.have.length(4)
  })

  describe('under a reader', () => {
    it('waits for it, while ingest, other readers and new partitions wait for nobody', async () => {
      const { second, alone } = await someLog()
      await world.passes(3 * HOUR)
      const reader = await holdTransaction(world.pool)
      await reader.query('select count(*) from events')
      let ended = false
      const retained = world.retain({ waitMs: 50_000 }).finally(() => (ended = true))
      await until(() => world.value(`select pid ${DETACHING}`), { what: 'the detach to wait' })
      for (let n = 0; n < 20; n += 1) await world.take([event(), servers({ add: [`s${n}.example`] })])
      await inTransaction(world.pool, (db) => extendLog(db, 6_000_000))
      expect(await gapOf('b.example')).to.deep.equal(ids([second, alone]))
      expect(ended, 'it waits still').to.equal(false)
      await reader.query('commit')
      reader.release()
      expect(await retained).to.deep.equal({ dropped: ['events_0_2000000'], waitsFor: null })
      const { log, kept } = await world.holds()
      expect(kept).to.deep.equal(ids([second, alone]))
      expect(log).to.have.length(20)
    })

    it('gives up for now after a while, and finishes when the reader has ended', async () => {
      await someLog()
      await world.passes(3 * HOUR)
      const reader = await holdTransaction(world.pool)
      await reader.query('select count(*) from events')
      expect(await world.retain({ waitMs: 50 })).to.deep.equal({ dropped: [], waitsFor: 'readers' })
      expect((await world.partitions())[0]).to.equal('events_0_2000000 detaching')
      await world.take([event()])
      expect(await world.retain({ waitMs: 50 }), 'again').to.deep.equal({ dropped: [], waitsFor: 'readers' })
      await reader.query('commit')
      reader.release()
      expect(await world.retain()).to.deep.equal({ dropped: ['events_0_2000000'], waitsFor: null })
    })

    it('is finished by the next process that looks when its own dies while it waits', async () => {
      await someLog()
      await world.passes(3 * HOUR)
      const reader = await holdTransaction(world.pool)
      await reader.query('select count(*) from events')
      const died = world.retain({ waitMs: 60_000 }).then(
        () => 'it ended by itself',
        () => 'it died',
      )
      await until(() => world.value(`select pid ${DETACHING}`), { what: 'the detach to wait' })
      await world.rows(`select pg_terminate_backend(pid) ${DETACHING}`)
      expect(await died).to.equal('it died')
      expect((await world.partitions())[0]).to.equal('events_0_2000000 detaching')
      await reader.query('commit')
      reader.release()
      const { dropped } = await until(() => world.retain(), { what: 'the lock to be free' })
      expect(dropped).to.deep.equal(['events_0_2000000'])
    })
  })

  describe('and a redaction', () => {
    it('of what was kept reaches it, in whatever step it comes', async () => {
      for (const at of ['settle destinations', 'copy', 'move the floor', 'detach', 'drop', 'forget']) {
        const { second } = await someLog()
        await world.passes(3 * HOUR)
        await world.retain({
          onStep: async (step) => {
            if (step === at) await world.take([redact(second)])
          },
        })
        const text = await world.value<string>(`select pdu from kept_events where event_id = $1`, [
          second.event_id,
        ])
        expect(text, at).to.include('"content":{}')
      }
    })

    it('or rather a purge takes what was kept of its room, counts it, and leaves the rest', async () => {
      const { alone } = await someLog()
      await world.passes(3 * HOUR)
      await world.retain()
      await world.take([purge()])
      expect(await gapOf('b.example')).to.deep.equal(ids([alone]))
      expect(await world.value(`select value from counters where name = 'given_up:purge'`)).to.equal(1)
    })

    it('that is about to commit is waited for, or the old text would be kept', async () => {
      const { second } = await someLog()
      await world.passes(3 * HOUR)
      const redaction = await holdTransaction(world.pool)
      await lockContent(redaction)
      await redaction.query(`update events set pdu = 'redacted' where event_id = $1`, [second.event_id])
      const retained = world.retain()
      const waits = `select count(*) from pg_locks where locktype = 'advisory' and not granted
        and database = (select oid from pg_database where datname = current_database())`
      await until(async () => Number(await world.value(waits)) > 0, { what: 'the copying to wait' })
      await redaction.query('commit')
      redaction.release()
      await retained
      expect(
        await world.value(`select pdu from kept_events where event_id = $1`, [second.event_id]),
      ).to.equal('redacted')
    })
  })

  describe('knows duplicates for longer than the log', () => {
    it('and forgets with the log what only the log needed', async () => {
      const { first, second, alone } = await someLog()
      await world.take([servers({ remove: ['c.example'] }, '!y:home.example')])
      await world.take([event({ room: '!y:home.example', also: { also_to: ['c.example'] } })])
      await world.rows(`update cursors set pos = 10`)
      await world.passes(3 * HOUR)
      await world.rows(`update destinations set position = 7 where name = 'c.example'`)
      await world.retain()
      expect(await world.memberships('!y:home.example')).to.deep.equal([])
      expect(await world.rows('select kind from changes'), 'that the log got shorter').to.deep.equal([
        { kind: 'erase' },
      ])
      expect(await world.value('select count(*) from recipients'), 'that of what is kept').to.equal(1)
      expect(await world.take([first, second, alone])).to.include({ duplicates: 3 })
      await world.passes(30 * DAY)
      await world.retain()
      expect(await world.take([first]), 'thirty days later it is new').to.include({ duplicates: 0 })
      expect(await world.take([second, alone]), 'what is kept is known').to.include({ duplicates: 2 })
    })

    it('but keeps a membership that has ended for a destination that has not come to its end', async () => {
      const { second, alone } = await someLog()
      const after = event()
      await world.take([servers({ remove: ['b.example'] }), after])
      await world.passes(3 * HOUR)
      await world.retain()
      expect(await world.memberships()).to.deep.equal(['b.example (1, 6]'])
      expect(await gapOf('b.example')).to.deep.equal(ids([second, alone]))
    })
  })
})
