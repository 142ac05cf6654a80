import { expect } from 'chai'
import { openPool, type Pool } from '../../src/store/db.ts'
import { migrate } from '../../src/store/migrate.ts'
import { findDue } from '../../src/store/delivery/wake-lists.ts'
import { freshDatabase } from '../support/postgres.ts'

const NEVER_FOUND = {
  kind: 'discovery',
  status: null,
  message: 'server discovery comes in the next release',
  at: 1,
}

describe('the upgrade of what was owed to plain names', () => {
  let pool: Pool
  beforeEach(async () => {
    pool = openPool({ url: (await freshDatabase()).url, max: 2 })
    await pool.query(`delete from limpet_migrations where name = '0014_plain_names.sql'`)
  })
  afterEach(() => pool.end())

  const add = async (name: string, error: object | null, more: Record<string, unknown> = {}) => {
    const row = {
      ...{
        name,
        position: 3,
        created_at: 0,
        failures: 9,
        failing_since: 5,
        retry_at: 9e15,
        retry_interval: 7,
        look_at: 9e15,
      },
      ...{
        advice_after: 6,
        advice_step: 2,
        wake_seq: 4,
        attempt_seq: 9,
        last_error: JSON.stringify(error),
        ...more,
      },
    }
    const columns = Object.keys(row)
    await pool.query(
      `insert into destinations (${columns.join(', ')}) values (${columns.map((_, i) => `$${i + 1}`).join(', ')})`,
      Object.values(row),
    )
  }
  const rowOf = async (name: string) =>
    (await pool.query<Record<string, unknown>>('select * from destinations where name = $1', [name])).rows[0]

  it('makes those due that failed for that reason last, in turn after who answered before, and leaves the rest as it was', async () => {
    await add('plain.example', NEVER_FOUND)
    await add('alive.example', null, {
      failures: 0,
      failing_since: null,
      retry_at: null,
      look_at: 0,
      last_success: 5,
    })
    const others = {
      'away.example:8448': { kind: 'connect', status: null, message: 'ECONNREFUSED', at: 1 },
      'new.example': { kind: 'discovery', status: null, message: 'SERVFAIL', at: 1 },
      'asks.example': NEVER_FOUND,
      'answered.example': NEVER_FOUND,
    }
    for (const [name, error] of Object.entries(others))
      await add(
        name,
        error,
        {
          'asks.example': { hold_kind: 'retry_after', hold_until: 9e15 },
          // It answered since.
          'answered.example': { failures: 0, failing_since: null, retry_at: null, look_at: null },
        }[name],
      )
    const before = await Promise.all(Object.keys(others).map(rowOf))
    const unchanged = await rowOf('plain.example')
    await migrate(pool)
    expect(await Promise.all(Object.keys(others).map(rowOf))).to.deep.equal(before)
    const row = await rowOf('plain.example')
    expect(row).to.deep.include({
      failures: 0,
      failing_since: null,
      retry_at: null,
      retry_interval: null,
      paused: false,
    })
    expect(row).to.deep.include({ advice_after: null, advice_step: null, wake_seq: 5, asked_at: null })
    for (const same of ['position', 'attempt_seq', 'fence', 'last_error', 'created_at'])
      expect(row?.[same], same).to.deep.equal(unchanged?.[same])
    expect((await findDue(pool, 9)).map(({ name }) => name)).to.deep.equal(['alive.example', 'plain.example'])
  })

  it('leaves one that is paused paused', async () => {
    await add('plain.example', NEVER_FOUND, { paused: true })
    await migrate(pool)
    expect(await rowOf('plain.example')).to.deep.include({ paused: true, failures: 0 })
    expect(await findDue(pool, 9)).to.deep.equal([])
  })
})
