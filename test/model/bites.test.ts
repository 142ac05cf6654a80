/**
 * Does the model test bite? Each of these bugs, planted one at a time, must be caught, or the model test
 * says nothing when it is green. What it finds is kept in `docs/planted-bugs.md`.
 */
import { expect } from 'chai'
import { findFailure } from './check.ts'
import { memoryDatabase } from './database.ts'
import { BITES_SEED, BUGS, WITHIN } from './planted.ts'

describe('the model test', function () {
  this.timeout(600_000)

  for (const { bug, plant, options, seed, drawn, breaks } of BUGS) {
    it(`catches: ${bug}`, async () => {
      const failed = await findFailure(() => Promise.resolve(memoryDatabase(plant())), {
        ...{ runs: WITHIN, seed: seed ?? BITES_SEED, options },
        ...(drawn && { drawn }),
        // The first that is found will do here.
        shrink: false,
      })
      expect(failed, `not within ${WITHIN} schedules`).not.to.equal(null)
      expect(failed?.why).to.match(breaks)
    })
  }
})
