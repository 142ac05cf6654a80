import { expect } from 'chai'
import {
  afterFailure,
  afterSuccess,
  interval,
  isDead,
  nextAttempt,
  withoutImpossibleWaits,
  type Failure,
} from '../../../src/deliver/rules/backoff.ts'

type Waiting = Parameters<typeof nextAttempt>[0]

const NOW = 1_000_000_000
const SECOND = 1_000
const MINUTE = 60_000
const HOUR = 3_600_000
const DAY = 86_400_000
const settings = {
  first_ms: 5 * SECOND,
  multiplier: 2,
  max_ms: 8 * HOUR,
  jitter: 0.2,
  dead_after_ms: 30 * DAY,
}

const HEALTHY: Waiting = {
  failures: 0,
  failingSince: null,
  retryAt: null,
  retryInterval: null,
  holdKind: null,
  holdUntil: null,
  adviceAt: null,
  adviceUp: false,
  adviceAfter: null,
  adviceStep: null,
  askedAt: null,
  deadlineAt: null,
  triedAt: null,
  deadlineTries: [],
}
const row = (over: Partial<Waiting> = {}): Waiting => ({ ...HEALTHY, ...over })
/** Failing since a while, the next attempt in an hour. */
const failing = (over: Partial<Waiting> = {}) =>
  row({ failures: 3, failingSince: NOW - DAY, retryAt: NOW + HOUR, retryInterval: HOUR, ...over })

describe('when a destination may be tried (nextAttempt)', () => {
  const rows: [string, Waiting, number][] = [
    ['a healthy one: now', row(), NOW],
    ['a failing one: at the end of its backoff', failing(), NOW + HOUR],
    ['one whose backoff is over: now', failing({ retryAt: NOW - 1 }), NOW - 1],
    ['advice brings it forward', failing({ adviceAt: NOW + 3 * SECOND }), NOW + 3 * SECOND],
    ['advice for later than its backoff changes nothing', failing({ adviceAt: NOW + 2 * HOUR }), NOW + HOUR],
    ['an operator brings it forward', failing({ askedAt: NOW }), NOW],
    ['a 429 holds it', row({ holdKind: 'retry_after', holdUntil: NOW + MINUTE }), NOW + MINUTE],
    [
      'a 429 holds it against advice, server_up included',
      failing({ holdKind: 'retry_after', holdUntil: NOW + MINUTE, adviceAt: NOW, adviceUp: true }),
      NOW + MINUTE,
    ],
    [
      'a 429 holds it against an operator, and the backoff counts after it',
      failing({ holdKind: 'retry_after', holdUntil: NOW + MINUTE, askedAt: NOW }),
      NOW + MINUTE,
    ],
    [
      'a longer backoff outlives a 429',
      failing({ holdKind: 'retry_after', holdUntil: NOW + MINUTE }),
      NOW + HOUR,
    ],
    ['a 429 that is over holds nothing', row({ holdKind: 'retry_after', holdUntil: NOW }), NOW],
    ['a 410 holds it for a day', failing({ holdKind: 'gone', holdUntil: NOW + DAY }), NOW + DAY],
    [
      'a join does not wake one that is gone',
      failing({ holdKind: 'gone', holdUntil: NOW + DAY, adviceAt: NOW + SECOND }),
      NOW + DAY,
    ],
    [
      'a server_up does',
      failing({ holdKind: 'gone', holdUntil: NOW + DAY, adviceAt: NOW + SECOND, adviceUp: true }),
      NOW + SECOND,
    ],
    ['an operator does', failing({ holdKind: 'gone', holdUntil: NOW + DAY, askedAt: NOW }), NOW],
  ]
  for (const [title, waiting, expected] of rows) {
    it(title, () => expect(nextAttempt(waiting, NOW)).to.equal(expected))
  }
})

describe('the wait before the next attempt (interval)', () => {
  const rows: [number, number][] = [
    [1, 5 * SECOND],
    [2, 10 * SECOND],
    [3, 20 * SECOND],
    [13, 20_480 * SECOND],
    [14, 8 * HOUR],
    [10_000, 8 * HOUR],
  ]
  for (const [failures, expected] of rows) {
    it(`is ${expected / SECOND} s after ${failures} failure(s)`, () =>
      expect(interval(failures, settings)).to.equal(expected))
  }
})

describe('who is dead (isDead)', () => {
  it('has failed for longer than that, and not just as long', () => {
    expect(isDead(NOW - DAY - 1, NOW, DAY)).to.equal(true)
    expect(isDead(NOW - DAY, NOW, DAY)).to.equal(false)
    expect(isDead(null, NOW, DAY)).to.equal(false)
  })
})

describe('a failed attempt (afterFailure)', () => {
  /** It began ten seconds ago. */
  const BEGAN = NOW - 10 * SECOND
  const failed = (waiting: Waiting, over: Partial<Failure> = {}, random = 0.5) =>
    afterFailure(
      waiting,
      { kind: 'failed', retryAfterMs: null, afterTakeover: false, startedAt: BEGAN, ...over },
      NOW,
      { settings, random: () => random },
    )

  it('counts, waits five seconds and remembers since when', () => {
    expect(failed(row())).to.deep.equal(
      row({
        ...{ failures: 1, failingSince: NOW, triedAt: NOW },
        ...{ retryAt: NOW + 5 * SECOND, retryInterval: 5 * SECOND },
      }),
    )
  })

  it('doubles with each one, and keeps since when', () => {
    const next = failed(failing({ retryAt: BEGAN }))
    expect(next).to.include({ failures: 4, failingSince: NOW - DAY, retryInterval: 40 * SECOND })
  })

  it('waits 1 ± jitter of that', () => {
    expect(failed(row(), {}, 0).retryAt).to.equal(NOW + 4 * SECOND)
    expect(failed(row(), {}, 0.999999).retryAt).to.be.within(NOW + 5_990, NOW + 6 * SECOND)
  })

  describe('of one that has failed for longer than `dead_after_ms`', () => {
    const WEEK = 7 * DAY
    const long = failing({ failingSince: NOW - 31 * DAY, retryAt: BEGAN })

    it('waits a week, 1 ± jitter', () => {
      expect(failed(long)).to.include({ failures: 4, retryAt: NOW + WEEK, retryInterval: WEEK })
      expect(failed(long, {}, 0).retryAt).to.equal(NOW + 0.8 * WEEK)
    })

    it('waits as before on the last day before that', () => {
      const next = failed({ ...long, failingSince: NOW - 30 * DAY })
      expect(next.retryInterval).to.equal(40 * SECOND)
    })

    it('leaves the week as it was where advice has brought it forward', () => {
      const next = failed({
        ...long,
        retryAt: NOW + 3 * DAY,
        retryInterval: WEEK,
        adviceAt: BEGAN,
        adviceUp: true,
      })
      expect(next).to.include({
        failures: 3,
        retryAt: NOW + 3 * DAY,
        retryInterval: WEEK,
        adviceStep: MINUTE,
      })
    })

    it('honours a Retry-After, and the day of a 410, beside it', () => {
      const busy = failed(long, { kind: 'busy', retryAfterMs: MINUTE })
      expect(nextAttempt(busy, NOW)).to.equal(NOW + WEEK)
    })
  })

  describe('that was brought forward', () => {
    const advised = failing({ adviceAt: BEGAN, adviceUp: true })

    it('leaves failures and backoff as they were', () => {
      expect(failed(advised)).to.include({ failures: 3, retryAt: NOW + HOUR, retryInterval: HOUR })
    })

    it('uses the advice up', () => {
      expect(failed(advised)).to.include({ adviceAt: null, adviceUp: false })
    })

    it('lets the next advice bring one forward after a minute, doubling to an hour', () => {
      let waiting = advised
      const steps: number[] = []
      for (let times = 0; times < 8; times += 1) {
        waiting = failed({ ...waiting, adviceAt: BEGAN })
        steps.push((waiting.adviceAfter ?? 0) - NOW)
      }
      expect(steps.map((ms) => ms / MINUTE)).to.deep.equal([1, 2, 4, 8, 16, 32, 60, 60])
    })

    it('by server_up within the day of a 410: takes a step of advice, whatever its backoff', () => {
      const gone = { holdKind: 'gone', holdUntil: NOW + HOUR, adviceAt: BEGAN, adviceUp: true } as const
      const next = failed(failing({ ...gone, retryAt: NOW - MINUTE }), { kind: 'gone' })
      expect(next).to.include({ adviceStep: MINUTE, adviceAfter: NOW + MINUTE })
    })

    it('by an operator: keeps the backoff, and takes no step of advice', () => {
      const next = failed(failing({ askedAt: BEGAN }))
      expect(next).to.include({ failures: 3, retryAt: NOW + HOUR, askedAt: null, adviceStep: null })
    })

    it('is the ordinary one where the time of that came while it was under way', () => {
      const next = failed(failing({ askedAt: BEGAN, retryAt: NOW - SECOND }))
      expect(next).to.include({ failures: 4, retryAt: NOW + 40 * SECOND })
    })
  })

  it('that was the ordinary one takes no step of advice, though advice fell into it', () => {
    const next = failed(failing({ retryAt: BEGAN, adviceAt: BEGAN }))
    expect(next).to.include({ failures: 4, adviceAt: null, adviceAfter: null, adviceStep: null })
  })

  describe('during which somebody wished another', () => {
    it('keeps advice that came meanwhile', () => {
      expect(failed(row({ adviceAt: NOW - SECOND, adviceUp: true }))).to.include({
        adviceAt: NOW - SECOND,
        adviceUp: true,
      })
    })

    it('keeps an operator who asked meanwhile', () => {
      expect(failed(row({ askedAt: NOW - SECOND })).askedAt).to.equal(NOW - SECOND)
    })
  })

  describe('with a 429', () => {
    it('holds it for as long as it was asked, and counts as a failure', () => {
      const next = failed(row(), { kind: 'busy', retryAfterMs: 90 * SECOND })
      expect(next).to.include({ holdKind: 'retry_after', holdUntil: NOW + 90 * SECOND, failures: 1 })
    })

    it('of at most a day', () => {
      expect(failed(row(), { kind: 'busy', retryAfterMs: 9 * DAY }).holdUntil).to.equal(NOW + DAY)
    })

    it('that asks for no time at all still waits as after any failure', () => {
      const next = failed(row(), { kind: 'busy', retryAfterMs: 0 })
      expect(nextAttempt(next, NOW)).to.equal(NOW + 5 * SECOND)
    })

    it('without a time is a failure like another', () => {
      expect(failed(row(), { kind: 'busy' })).to.include({ failures: 1, holdKind: null })
    })

    it('to the first request after a takeover is none: the receiver is still at the old one', () => {
      const next = failed(row(), { kind: 'busy', afterTakeover: true })
      expect(next).to.include({ failures: 0, failingSince: null, retryAt: NOW + SECOND })
    })

    it('after a takeover with a time is no failure either, and is honoured', () => {
      const next = failed(row(), { kind: 'busy', afterTakeover: true, retryAfterMs: MINUTE })
      expect(next).to.include({ failures: 0, holdKind: 'retry_after', holdUntil: NOW + MINUTE })
      expect(nextAttempt(next, NOW)).to.equal(NOW + MINUTE)
    })

    it('after a takeover shortens no backoff', () => {
      expect(failed(failing(), { kind: 'busy', afterTakeover: true }).retryAt).to.equal(NOW + HOUR)
    })
  })

  it('with a 410 waits a day, and counts', () => {
    const next = failed(row(), { kind: 'gone' })
    expect(next).to.include({ holdKind: 'gone', holdUntil: NOW + DAY, failures: 1 })
  })
})

describe('an answered attempt (afterSuccess)', () => {
  it('leaves nothing of the failures, advice and holds', () => {
    const before = failing({
      adviceAt: NOW,
      adviceUp: true,
      adviceAfter: NOW,
      adviceStep: HOUR,
      askedAt: NOW - 1,
    })
    expect(afterSuccess({ ...before, holdKind: 'gone', holdUntil: NOW + DAY }, NOW)).to.deep.equal(HEALTHY)
  })

  it('keeps what an operator asked while it was under way', () => {
    expect(afterSuccess(row({ askedAt: NOW + 1 }), NOW).askedAt).to.equal(NOW + 1)
  })
})

describe('waits that no rule can have made, after a clock that was wrong (withoutImpossibleWaits)', () => {
  const rows: [string, Partial<Waiting>, Partial<Waiting>][] = [
    [
      'a backoff beyond the longest is cut to it',
      { retryAt: NOW + 300 * DAY },
      { retryAt: NOW + 1.2 * 8 * HOUR },
    ],
    ['the longest itself stays', { retryAt: NOW + 1.2 * 8 * HOUR }, { retryAt: NOW + 1.2 * 8 * HOUR }],
    ['a hold of more than a day is cut to a day', { holdUntil: NOW + 2 * DAY }, { holdUntil: NOW + DAY }],
    [
      'a wait is never longer than it was when it began',
      {
        failures: 1,
        retryAt: NOW + HOUR,
        retryInterval: 5 * SECOND,
        adviceAfter: NOW + HOUR,
        adviceStep: MINUTE,
      },
      { retryAt: NOW + 6 * SECOND, adviceAfter: NOW + MINUTE },
    ],
    ['a hold of a day stays', { holdUntil: NOW + DAY }, { holdUntil: NOW + DAY }],
    [
      'advice comes within an hour',
      { adviceAt: NOW + DAY, adviceAfter: NOW + DAY },
      { adviceAt: NOW + HOUR, adviceAfter: NOW + HOUR },
    ],
    [
      'a week stays to one that is dead, and nothing longer does',
      { retryAt: NOW + 30 * DAY, retryInterval: 7 * DAY },
      { retryAt: NOW + 1.2 * 7 * DAY },
    ],
    ['no wait stays none', {}, { retryAt: null, holdUntil: null, adviceAt: null, adviceAfter: null }],
  ]
  for (const [title, before, after] of rows) {
    it(title, () => expect(withoutImpossibleWaits(row(before), NOW, settings)).to.include(after))
  }
})
