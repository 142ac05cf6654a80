import { expect } from 'chai'
import { openPool, type Pool } from '../../src/store/db.ts'
import { cutImpossibleWaits, withSweepLock } from '../../src/store/housekeeping.ts'
import { freshDatabase } from '../support/postgres.ts'

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
    await cutImpossibleWaits(pool, 8 * HOUR)
    expect(await row('right.example:1')).to.deep.equal(before)
    const after = await row('wrong.example:1')
    expect(after['retry_at']! - after['look_at']!).to.be.within(8 * HOUR, 8 * HOUR + 60_000)
    expect(after).to.include({ hold_until: null, advice_at: null, advice_after: null })
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
