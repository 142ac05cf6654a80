/** A sticky event ends an hour after it was received, whatever the clock said then: nothing waits a year for it. */
import { expect } from 'chai'
import { systemClock } from '../../../src/pace/clock.ts'
import { makeSweep } from '../../../src/deliver/wake/sweep.ts'
import { makeLog } from '../../../src/observe/log.ts'
import { lockContent } from '../../../src/store/stream.ts'
import { event, HOUR, redact, servers, sticky } from '../../ingest/ingest-world.ts'
import { holdTransaction } from '../../support/hold.ts'
import { until } from '../../support/poll.ts'
import { DAY, makeRetentionWorld, type RetentionWorld } from './retention-world.ts'

const MINUTE = 60_000
const YEAR = 365 * DAY

describe('a sticky event that was taken while the clock was far ahead', () => {
  let world: RetentionWorld
  let lapsed = 0
  beforeEach(async () => {
    world = await makeRetentionWorld()
    lapsed = 0
  })
  afterEach(() => world.close())

  const sweep = () =>
    makeSweep({
      pool: world.pool,
      clock: systemClock,
      vetDomain: null,
      ...{ nudgeFanout: () => Promise.resolve() },
      ...{ backoff: { first_ms: 5_000, max_ms: 8 * HOUR, multiplier: 2, jitter: 0.2 }, attemptsMs: DAY },
      onLapsed: (count) => (lapsed += count),
      log: makeLog({ level: 'silent', pretty: false }),
    })()
  async function passes(ms: number): Promise<void> {
    await world.passes(ms)
    await sweep()
  }
  const count = async (table: string) => Number(await world.value(`select count(*) from ${table}`))
  const stickyNow = async () =>
    Number(await world.value('select count(*) from sticky where expires_at > now_ms()'))
  /** Two that are sticky, by clocks of limpet and homeserver that are both a year ahead, and a note of one of them. */
  async function takeAhead(): Promise<ReturnType<typeof sticky>> {
    const originServerTs = (await world.now()) + 2 * YEAR
    await world.later(YEAR)
    const second = sticky({ originServerTs })
    await world.take([servers({ add: ['a.example'] }), sticky({ originServerTs }), second])
    await world.take([servers({ add: ['b.example'] })])
    await world.rows(
      `insert into replays (destination, pos, state, expires_at, at, next_at, tries)
       select 1, e.pos, case e.pos when 2 then 'sent' else 'unlisted' end, e.sticky_until, now_ms(), now_ms(), 1 from events e`,
    )
    await sweep()
    await world.later(-YEAR)
    return second
  }

  it('is sticky for no longer than an hour of time that passed, and is counted as lapsed', async () => {
    await takeAhead()
    await passes(45 * MINUTE)
    expect(await stickyNow(), 'before').to.equal(2)
    await passes(20 * MINUTE)
    expect(await stickyNow(), 'after an hour').to.equal(0)
    const late = await world.value('select count(*) from events where sticky_until > now_ms()')
    expect(late, 'nor says the log otherwise').to.equal(0)
    expect(lapsed, 'two for a join, one that was not listed').to.equal(3)
    await passes(20 * MINUTE)
    expect(await world.owed(), 'and nobody is owed it').to.deep.equal([])
    expect(lapsed, 'nor is it counted again').to.equal(3)
  })

  it('keeps neither the log, nor its own rows, nor notes of it, nor ids', async () => {
    await takeAhead()
    await world.take([event()])
    await passes(70 * MINUTE)
    await passes(20 * MINUTE)
    expect(await count('sticky')).to.equal(0)
    await passes(HOUR)
    await passes(DAY)
    await passes(DAY)
    await world.rows('update destinations set position = (select head from stream)')
    await world.retain()
    await passes(HOUR)
    await world.retain()
    expect((await world.holds()).log).to.deep.equal([])
    await sweep()
    expect(await count('replays'), 'notes').to.equal(0)
    for (let day = 0; day < 32; day += 1) await world.passes(DAY)
    await world.retain()
    await world.later(2 * HOUR)
    await world.retain()
    expect(await count('event_ids'), 'ids').to.equal(0)
  })

  it('leaves no note that stays for a year where it was redacted meanwhile', async () => {
    const second = await takeAhead()
    await world.take([redact(second)])
    await passes(70 * MINUTE)
    const late = await world.value('select count(*) from replays where expires_at > now_ms()')
    expect(late).to.equal(0)
  })

  it('and one that a clock far behind shows so for any number of looks stays as it was', async () => {
    await world.take([servers({ add: ['a.example'] }), sticky(), sticky({ stickyMs: 50 * MINUTE })])
    await world.take([servers({ add: ['b.example'] })])
    const rows = () =>
      world.rows(
        'select s.pos, s.expires_at, e.sticky_until from sticky s join events e on e.pos = s.pos order by s.pos',
      )
    const before = await rows()
    await world.passes(MINUTE)
    await world.later(-YEAR)
    for (let look = 0; look < 20; look += 1) await passes(MINUTE)
    await world.later(YEAR)
    await passes(MINUTE)
    expect(await rows()).to.deep.equal(before)
    expect(await world.owed()).to.deep.equal(['b.example up to 4'])
    expect(lapsed).to.equal(0)
  })

  it('is ended beside a redaction, which locks the same rows in another order', async () => {
    await takeAhead()
    await world.passes(70 * MINUTE)
    const taking = await holdTransaction(world.pool)
    await lockContent(taking)
    await taking.query('update events set sticky_until = null')
    const sweeping = sweep()
    await until(async () => (await count('pg_locks where not granted')) > 0, { what: 'the sweep to wait' })
    await taking.query('delete from sticky')
    await taking.query('commit')
    taking.release()
    await sweeping
    expect(await world.value('select count(*) from events where sticky_until is not null')).to.equal(0)
  })
})
