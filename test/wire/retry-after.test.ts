import { expect } from 'chai'
import { LONGEST_WAIT_MS, retryAfter } from '../../src/wire/retry-after.ts'

const now = Date.UTC(2026, 0, 2, 3, 4, 5)

describe('how long an answer asks to wait', () => {
  const cases: [what: string, header: string | undefined, body: unknown, wait: number | null][] = [
    ['nothing', undefined, undefined, null],
    ['seconds', '120', undefined, 120_000],
    ['seconds with spaces', ' 120 ', undefined, 120_000],
    ['zero seconds', '0', undefined, 0],
    ['an HTTP date', 'Fri, 02 Jan 2026 03:05:05 GMT', undefined, 60_000],
    ['an HTTP date of the old form', 'Friday, 02-Jan-26 03:05:05 GMT', undefined, 60_000],
    ['a date that is over', 'Fri, 02 Jan 2026 03:00:00 GMT', undefined, 0],
    ['a negative number', '-5', undefined, null],
    ['a fraction', '1.5', undefined, null],
    ['words', 'Monday, maybe', undefined, null],
    ['milliseconds in the body', undefined, 2500, 2500],
    ['a fraction of them', undefined, 2500.4, 2501],
    ['a string in the body', undefined, '2500', null],
    ['a negative one', undefined, -1, null],
    ['both, the header longer', '3', 2500, 3000],
    ['both, the body longer', '1', 2500, 2500],
    ['a header that says nothing and a body', 'soon', 2500, 2500],
    ['more than a day', '9999999', undefined, LONGEST_WAIT_MS],
    ['far more than a number holds', '9'.repeat(400), undefined, LONGEST_WAIT_MS],
    ['more than a day in the body', undefined, 1e300, LONGEST_WAIT_MS],
  ]
  for (const [what, header, retryAfterMs, wait] of cases) {
    it(`${what}: ${wait === null ? 'no wait' : `${wait} ms`}`, () => {
      expect(retryAfter({ header, retryAfterMs, now })).to.equal(wait)
    })
  }
})
