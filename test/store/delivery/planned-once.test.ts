/** What each turn asks is planned once for a connection, not at each call: to plan it takes longer than to run it. */
import { expect } from 'chai'
import { loadDestinations } from '../../../src/store/delivery/destination.ts'
import { releaseDestinations, takeDestinations } from '../../../src/store/delivery/leases.ts'
import { writeAttemptResults } from '../../../src/store/delivery/results.ts'
import { failedResult } from '../../support/attempt-result.ts'
import { holdMany, WORKER, type HeldDestinations } from '../../support/held-destinations.ts'

/** PostgreSQL plans the first five calls for their values, then compares. */
const AT_FIRST = 5
const CALLS = 20

describe('the statements of a turn', () => {
  let held: HeldDestinations
  beforeEach(async () => {
    held = await holdMany(1_000)
  })
  afterEach(() => held.end())

  it('are planned once, for one destination or several', async () => {
    const { client } = held
    for (let n = 0; n < CALLS; n += 1) {
      const ids = Array.from({ length: 1 + (n % 7) }, (_, i) => 1 + n * 7 + i)
      const taken = await takeDestinations(
        client,
        ids.map((id) => ({ worker: WORKER, name: `${id}.example` })),
      )
      const holds = taken.flatMap((one) => (one.kind === 'taken' ? [one.held] : []))
      expect(holds).to.have.length(ids.length)
      await loadDestinations(client, holds)
      await writeAttemptResults(client, holds.map(failedResult))
      const nothing = { wakeSeq: null, lookAt: null, position: null, readAt: 0 }
      await releaseDestinations(
        client,
        holds.map((one) => ({ held: one, ...nothing })),
      )
    }
    const { rows } = await client.query<{ name: string; custom: number }>(
      `select substring(statement from '/\\* (.*?) \\*/') as name, custom_plans::int as custom from pg_prepared_statements
        where generic_plans + custom_plans = ${CALLS} order by 1`,
    )
    expect(rows).to.deep.equal(
      ['end the attempt', 'let go', 'look at the destination', 'take the destination'].map((name) => {
        return { name, custom: AT_FIRST }
      }),
    )
  })
})
