import { expect } from 'chai'
import { ODD_INTERVALS } from '../../../src/deliver/rules/backoff.ts'
import { openPool, type Pool } from '../../../src/store/db.ts'
import { cutImpossibleWaits, withSweepLock } from '../../../src/store/upkeep/housekeeping.ts'
import { freshDatabase } from '../../support/postgres.ts'

const HOUR = 3_600_000

describe('housekeeping', () => {
  let pool: Pool
  before(async () => {
    pool = openPool({ url: (await freshDatabase()).url, max: 4 })
  })
  after(() => pool.end())

  const insert = (name: string, columns: Record<string, string>) =>
    pool.query(
      `insert into destinations (name, position, created_at, ${Object.keys(columns).join(', ')})
       values ($1, 0, 0, ${Object.values(columns).join(', ')})`,
      [name],
    )
  const row = async (name: string) =>
    (await pool.query<Record<string, number | null>>('select * from destinations where name = $1', [name]))
      .rows[0]!

  it('cuts a wait that no rule can have made, and leaves every other column as it was', async () => {
    await insert('wrong.example:1', {
      failures: '3',
      retry_at: `now_ms() + ${100 * HOUR}`,
      look_at: 'now_ms()',
    })
    await insert('right.example:1', { failures: '3', retry_at: `now_ms() + ${HOUR}`, look_at: 'now_ms()' })
    const before = await row('right.example:1')
    await cutImpossibleWaits(pool, { longestMs: 8 * HOUR, oddMs: ODD_INTERVALS })
    expect(await row('right.example:1')).to.deep.equal(before)
    const after = await row('wrong.example:1')
    expect(after['retry_at']! - after['look_at']!).to.be.within(8 * HOUR, 8 * HOUR + 60_000)
    expect(after).to.include({ hold_until: null, advice_at: null, advice_after: null })
  })

  it('makes no wait of an hour out of one of seconds when the clock was set back by an hour', async () => {
    const columns = {
      failures: '1',
      retry_interval: '5000',
      retry_at: 'now_ms() + 5000',
      look_at: 'now_ms() + 5000',
    }
    await insert('failing.example:1', { ...columns, advice_step: '60000', advice_after: 'now_ms() + 60000' })
    await pool.query(`insert into settings (key, value) values ('clock_offset_ms', '${-HOUR}')`)
    await cutImpossibleWaits(pool, { longestMs: 8 * HOUR, oddMs: ODD_INTERVALS })
    const { rows } = await pool.query<Record<string, number>>(
      `select retry_at - now_ms() as retry, look_at - now_ms() as look, advice_after - now_ms() as advice
         from destinations where name = 'failing.example:1'`,
    )
    await pool.query(`delete from settings where key = 'clock_offset_ms'`)
    expect(rows[0]?.['retry']).to.be.at.most(10_000)
    expect(rows[0]?.['look']).to.be.at.most(10_000)
    expect(rows[0]?.['advice']).to.be.at.most(60_000)
  })

  it('leaves the week that one who is dead waits', async () => {
    const wait = {
      failures: '99',
      retry_interval: `${7 * 24 * HOUR}`,
      retry_at: `now_ms() + ${8 * 24 * HOUR}`,
    }
    await insert('dead.example:1', { ...wait, look_at: `now_ms() + ${8 * 24 * HOUR}` })
    await insert('dead.example:2', {
      ...wait,
      hold_until: `now_ms() + ${HOUR}`,
      look_at: `now_ms() + ${8 * 24 * HOUR}`,
    })
    const before = [await row('dead.example:1'), await row('dead.example:2')]
    await cutImpossibleWaits(pool, { longestMs: 8 * HOUR, oddMs: ODD_INTERVALS })
    expect([await row('dead.example:1'), await row('dead.example:2')]).to.deep.equal(before)
  })

  it('leaves the hours that one waits who lets nobody in, however short the longest backoff is', async () => {
    for (const [i, hours] of [1, 2, 4, 8, 16, 24].entries()) {
      const at = `now_ms() + ${1.2 * hours * HOUR}`
      await insert(`refused.example:${i}`, {
        ...{ failures: '3', retry_interval: `${hours * HOUR}`, retry_at: at, look_at: at },
      })
    }
    const all = () => Promise.all([0, 1, 2, 3, 4, 5].map((i) => row(`refused.example:${i}`)))
    const before = await all()
    for (const longestMs of [8 * HOUR, 2_000])
      await cutImpossibleWaits(pool, { longestMs, oddMs: ODD_INTERVALS })
    expect(await all()).to.deep.equal(before)
  })

  it('is done by one process at a time', async () => {
    let inner: boolean | null = null
    const outer = await withSweepLock(pool, async () => {
      inner = await withSweepLock(pool, () => Promise.resolve())
    })
    expect([outer, inner]).to.deep.equal([true, false])
    expect(await withSweepLock(pool, () => Promise.resolve()), 'once it is over').to.equal(true)
  })
})
