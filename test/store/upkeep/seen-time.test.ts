/** What is gone for good was old by time that a running process saw, whatever one clock said at one moment. */
import { expect } from 'chai'
import { makeLog } from '../../../src/observe/log.ts'
import { removeOld } from '../../../src/store/upkeep/housekeeping.ts'
import { makeSeenTime } from '../../../src/store/upkeep/seen-time.ts'
import { event, HOUR, servers, sticky } from '../../ingest/ingest-world.ts'
import { DAY, makeRetentionWorld, type RetentionWorld } from './retention-world.ts'

const MINUTE = 60_000
const DEFAULTS = { events_ms: 7 * DAY, event_ids_ms: 30 * DAY, newest_event_ms: 90 * DAY }

describe('the age of what is stored', () => {
  let world: RetentionWorld
  beforeEach(async () => {
    world = await makeRetentionWorld()
  })
  afterEach(() => world.close())

  /** A process that looks, with a clock of its own. */
  function looker(more: { stoppedMs?: number } = {}) {
    let monotonic = 5
    const warned: unknown[] = []
    const log = makeLog({ level: 'silent', pretty: false })
    log.warn = (about: unknown) => warned.push(about)
    const clock = { monotonic: () => monotonic }
    const seen = makeSeenTime({ clock, eventsMs: 7 * DAY, longestMs: 90 * DAY, log, ...more })
    return {
      warned,
      look: () => seen.note(world.pool),
      ages(ms: number) {
        monotonic += ms
      },
    }
  }
  type Looker = ReturnType<typeof looker>
  async function passes(ms: number, ...lookers: Looker[]) {
    await world.later(ms)
    for (const one of lookers) one.ages(ms)
  }
  /** The clock really runs beside. */
  const about = (ms: number) => [ms - 1, ms + 5_000] as const

  it('grows while both clocks move alike, and a clock that jumps adds nothing, either way', async () => {
    const one = looker()
    expect(await one.look()).to.equal(0)
    await passes(10 * MINUTE, one)
    expect(await one.look()).to.be.within(...about(10 * MINUTE))
    for (const jump of [8 * DAY, -8 * DAY, -HOUR, HOUR]) {
      await world.later(jump)
      one.ages(30_000)
      expect(await one.look(), `${jump}`).to.be.within(...about(10 * MINUTE))
    }
    expect(one.warned, 'each is told').to.have.length(4)
    await passes(MINUTE, one)
    expect(await one.look(), 'and goes on').to.be.within(...about(11 * MINUTE))
  })

  it('takes the slower of two clocks that differ by less than a tenth', async () => {
    const one = looker()
    await one.look()
    await world.later(HOUR)
    one.ages(0.95 * HOUR)
    expect(await one.look()).to.be.within(...about(0.95 * HOUR))
    await world.later(0.8 * HOUR)
    one.ages(HOUR)
    expect(await one.look(), 'a fifth is too much').to.be.within(...about(0.95 * HOUR))
  })

  it('counts no time twice, whichever process looks, and none while nobody ran', async () => {
    const [one, other] = [looker(), looker()]
    for (let turn = 0; turn < 4; turn += 1) {
      await one.look()
      await passes(15_000, one, other)
      await other.look()
      await passes(15_000, one, other)
    }
    expect(await one.look()).to.be.within(105_000, 125_000)
    await world.later(30 * DAY)
    const next = looker()
    expect(await next.look(), 'a month without limpet').to.be.below(125_000)
  })

  it('adds nothing for a process that was itself stopped', async () => {
    const one = looker({ stoppedMs: 10 * MINUTE })
    await one.look()
    await passes(8 * DAY, one)
    expect(await one.look()).to.equal(0)
    await passes(MINUTE, one)
    expect(await one.look()).to.be.within(...about(MINUTE))
  })

  it('begins anew on a database that was put back to an older state', async () => {
    const one = looker()
    await one.look()
    await passes(HOUR, one)
    await one.look()
    await world.rows('update seen_time set seen_ms = 0')
    await world.rows('delete from seen_marks')
    await passes(MINUTE, one)
    expect(await one.look()).to.equal(0)
  })

  for (const days of [8, 91]) {
    it(`a clock that is ${days} days ahead for looks of retention and the sweep takes nothing`, async () => {
      await world.take([
        servers({ add: ['down.example'] }),
        servers({ add: ['x.example'] }, '!r2:home.example'),
      ])
      await world.take([...Array.from({ length: 10 }, () => event()), sticky()])
      await world.take([event({ also: { to: ['down.example'] }, room: '!r2:home.example' })])
      await world.passes(MINUTE)
      await world.rows(
        'insert into gaps (destination, from_pos, to_pos, cursor, opened_at, closed_at) values (2, 0, 1, 1, 0, now_ms())',
      )
      await world.later(days * DAY)
      for (let look = 0; look < 3; look += 1) {
        expect((await world.retain({ settings: DEFAULTS }))?.dropped).to.deep.equal([])
        await removeOld(world.pool, DAY)
      }
      await world.later(-days * DAY)
      expect((await world.holds()).log).to.have.length(12)
      expect(await world.value('select count(*) from event_ids')).to.equal(12)
      expect(await world.value('select count(*) from sticky')).to.equal(1)
      expect(await world.value('select count(*) from gaps')).to.equal(1)
    })
  }

  it('what came while the clock was behind stays for as long when it is set right', async () => {
    await world.passes(3 * DAY)
    await world.later(-30 * DAY)
    await world.take([servers({ add: ['b.example'] }), event()])
    await world.later(30 * DAY)
    for (let day = 0; day < 6; day += 1) {
      expect((await world.retain({ settings: DEFAULTS }))?.dropped, `day ${day}`).to.deep.equal([])
      await world.passes(DAY)
    }
    await world.passes(2 * DAY)
    await world.retain({ settings: DEFAULTS })
    await world.passes(HOUR)
    expect((await world.retain({ settings: DEFAULTS }))?.dropped).to.deep.equal([])
    expect((await world.holds()).log, 'and then it goes').to.deep.equal([])
  })

  it('what is kept is not given up by a wrong clock either, and ids stay known', async () => {
    const settings = { ...DEFAULTS, events_ms: 2 * HOUR }
    const given = event()
    await world.take([servers({ add: ['b.example'] }), given])
    await world.passes(3 * HOUR)
    await world.retain({ settings })
    expect((await world.holds()).kept).to.deep.equal([given.event_id])
    await world.later(100 * DAY)
    await world.retain({ settings })
    await world.later(-100 * DAY)
    expect((await world.holds()).kept).to.deep.equal([given.event_id])
    expect(await world.take([given])).to.include({ duplicates: 1 })
  })
})
