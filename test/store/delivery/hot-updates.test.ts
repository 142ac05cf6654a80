/**
 * What every transaction writes to its destination's row adds nothing to an index (PostgreSQL: a heap-only tuple), else each answer costs an
 * entry in every index of the table, and the indexes grow.
 */
import { expect } from 'chai'
import { writeAttemptResults } from '../../../src/store/delivery/results.ts'
import { answeredResult, failedResult } from '../../support/attempt-result.ts'
import { holdMany, WORKER, type HeldDestinations } from '../../support/held-destinations.ts'

const HELD = { worker: WORKER, destination: 1, fence: 1 }

const COUNTS = `
  select pg_stat_get_xact_tuples_updated(c)::int as updated, pg_stat_get_xact_tuples_hot_updated(c)::int as hot
    from (select 'destinations'::regclass::oid) x (c)`

describe('what an attempt writes', () => {
  let held: HeldDestinations
  beforeEach(async () => {
    held = await holdMany(1)
  })
  afterEach(() => held.end())

  for (const [what, resultOf] of Object.entries({ answered: answeredResult, failed: failedResult }))
    it(`that was ${what} adds nothing to an index of the destinations`, async () => {
      const { client } = held
      // What is not yet counted of earlier transactions is in here as well.
      const counts = async () => (await client.query<{ updated: number; hot: number }>(COUNTS)).rows[0]!
      await client.query('begin')
      const before = await counts()
      expect(await writeAttemptResults(client, [resultOf(HELD)])).to.deep.equal([true])
      const after = await counts()
      await client.query('rollback')
      expect([after.updated - before.updated, after.hot - before.hot]).to.deep.equal([1, 1])
    })
})
