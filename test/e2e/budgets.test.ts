/**
 * Those that hang, refuse or flood have budgets of their own (contract, section 2): an event is at a healthy destination as soon as without
 * them. In small here; `test/chaos/budgets.test.ts` has the full sizes.
 */
import { measureBeside, measureHanging } from '../support/budget-stage.ts'

/** These tests run beside others, and what they must see is a minute. */
const NOISE_MS = 1_000

describe('the budgets of those that are not well', function () {
  this.timeout(120_000)

  it('28 of 40 that hang, refuse or flood delay nobody', () =>
    measureBeside({
      healthy: 12,
      hang: 12,
      refuse: 12,
      flood: 4,
      places: 20,
      lastsMs: 3_000,
      firstBackoffMs: 1_000,
      noiseMs: NOISE_MS,
    }))

  it('more that were quick than there are places, and hang all at once, delay nobody for longer than two seconds', () =>
    measureHanging({
      healthy: 10,
      hang: 60,
      places: 48,
      lastsMs: 6_000,
      firstBackoffMs: 1_000,
      noiseMs: NOISE_MS,
    }))
})
