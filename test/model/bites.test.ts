/**
 * Does the model test bite? Each of these bugs, planted one at a time, must be caught, or the model test
 * says nothing when it is green. What it finds is kept in `docs/planted-bugs.md`.
 */
import { expect } from 'chai'
import { findFailure } from './check.ts'
import { memoryDatabase } from './database.ts'
import { BUGS } from './planted.ts'

/** Schedules within which each must be caught; the seed is fixed, so that this test is the same every time. */
const WITHIN = 5_000
export const SEED = 20_260_101

describe('the model test', function () {
  this.timeout(600_000)

  for (const { bug, plant, options, breaks } of BUGS) {
    it(`catches: ${bug}`, async () => {
      const failed = await findFailure(() => Promise.resolve(memoryDatabase(plant())), {
        ...{ runs: WITHIN, seed: SEED, options },
        // The first that is found will do here.
        shrink: false,
      })
      expect(failed, `not within ${WITHIN} schedules`).not.to.equal(null)
      expect(failed?.why).to.match(breaks)
    })
  }
})
