/** The states that the database counts are those that each destination is described with. */
import { expect } from 'chai'
import { makeVetDomain } from '../../../src/allow/domains.ts'
import { stateOf } from '../../../src/explain/destination.ts'
import { openPool, type Db, type Pool } from '../../../src/store/db.ts'
import { countStates } from '../../../src/store/views/count-states.ts'
import { listDestinations } from '../../../src/store/views/destination-list.ts'
import { freshDatabase } from '../../support/postgres.ts'

const DEAD_AFTER = 3_600_000
const AGES = [null, -60_000, 60_000, 120_000]
/** Each value of one with each of the others, in turn. */
const times = (
  column: number,
) => `case (i / ${4 ** column}) % 4 when 0 then null when 1 then now_ms() + ${AGES[1]}
  when 2 then now_ms() + ${AGES[2]} else now_ms() + ${AGES[3]} end`

describe('counting states', () => {
  let pool: Pool
  before(async () => {
    pool = openPool({ url: (await freshDatabase()).url, max: 2 })
    await pool.query(
      `insert into destinations (name, position, created_at, retry_at, hold_until, advice_at, asked_at, deadline_at, hold_kind, advice_up, paused, pending_pdus, failing_since, isolation)
       select 'd' || i, 0, 0, ${times(0)}, ${times(1)}, ${times(2)}, ${times(3)}, ${times(4)},
              case when i % 3 = 0 then 'gone' else 'retry_after' end, i % 2 = 0, i % 31 = 0, i % 5,
              case when i % 11 = 0 then now_ms() - ${2 * DEAD_AFTER} when i % 11 < 5 then now_ms() - 60000 end,
              case i % 13 when 0 then '{"locked": 0}' when 1 then '{"locked": 3}' when 2 then '{"locked": null}' end::jsonb
         from generate_series(0, 767) i`,
    )
    await pool.query(
      'insert into gaps (destination, from_pos, to_pos, cursor, opened_at) select id, 0, 1, 0, 0 from destinations where id % 7 = 0',
    )
  })
  after(() => pool.end())

  it('gives each one the state that it is described with', async () => {
    const around = { now: Date.now(), vetDomain: null, deadAfterMs: DEAD_AFTER }
    const page = { orderBy: 'destination', dir: 'f', from: 0, limit: 1_000 } as const
    const { rows } = await listDestinations(pool, { ...page, search: null, keep: null })
    const expected: Record<string, number> = {}
    for (const row of rows) expected[stateOf(row, around)] = (expected[stateOf(row, around)] ?? 0) + 1
    expect(Object.keys(expected)).to.have.length(7)
    expect(await countStates(pool, around)).to.deep.equal(expected)
  })

  it('counts those that are blocked apart, whatever else they are, and reads no names where nobody can be', async () => {
    const vetDomain = makeVetDomain({ allowlist: null, denylist: ['d1*', 'd7'] })
    const around = { now: Date.now(), vetDomain, deadAfterMs: DEAD_AFTER }
    const page = { orderBy: 'destination', dir: 'f', from: 0, limit: 1_000 } as const
    const { rows } = await listDestinations(pool, { ...page, search: null, keep: null })
    const expected: Record<string, number> = {}
    for (const row of rows) expected[stateOf(row, around)] = (expected[stateOf(row, around)] ?? 0) + 1
    expect(Object.keys(expected)).to.have.length(8)
    const asked: string[] = []
    const query: Db['query'] = (text: string, values?: unknown[]) => {
      asked.push(text)
      return pool.query(text, values)
    }
    const db: Db = { query }
    expect(await countStates(db, around)).to.deep.equal(expected)
    expect(asked).to.have.length(2)
    asked.length = 0
    expect(await countStates(db, { ...around, vetDomain: null })).to.not.have.property('blocked')
    expect(asked).to.have.length(1)
    expect(asked[0]).to.not.match(/name/)
  })
})
