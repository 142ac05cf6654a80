import { expect } from 'chai'
import fc from 'fast-check'
import type { nextAttempt } from '../../../src/deliver/rules/backoff.ts'
import { afterFailure } from '../../../src/deliver/rules/backoff.ts'
import { mayHaveDeadlineTry, nextDeadlineLook, nextDeadlineTry } from '../../../src/deliver/rules/deadline.ts'

type Waiting = Parameters<typeof nextAttempt>[0]

const SECOND = 1_000
const MINUTE = 60_000
const HOUR = 3_600_000
const DAY = 86_400_000
const NOW = 1_000_000_000
const SETTINGS = { deadline_retries: true, deadline_retry_min_ms: 30 * SECOND, long_outage_ms: HOUR }
const BACKOFF = {
  first_ms: 5 * SECOND,
  multiplier: 2,
  max_ms: 8 * HOUR,
  jitter: 0.2,
  dead_after_ms: 30 * DAY,
}

/** Failing since just now, and the ordinary attempt is in eight hours. */
const failing = (over: Partial<Waiting> = {}): Waiting => ({
  ...{ failures: 9, failingSince: NOW, retryAt: NOW + 8 * HOUR, retryInterval: 8 * HOUR },
  ...{ holdKind: null, holdUntil: null, adviceAt: null, adviceUp: false, adviceAfter: null },
  ...{ adviceStep: null, askedAt: null, deadlineAt: null, triedAt: NOW, deadlineTries: [] },
  ...over,
})
/** It came when the destination began to fail, and lives for so long. */
const sticky = (ms: number, over: { since?: number; newest?: number; latest?: number } = {}) => {
  const since = over.since ?? NOW
  return {
    lapsesAt: since + ms,
    since,
    newest: over.newest ?? since,
    latest: over.latest ?? since + ms,
  }
}
const at = (seconds: number) => NOW + seconds * SECOND

describe('when a failing destination is tried for a sticky event (nextDeadlineTry)', () => {
  const rows: [string, Waiting, ReturnType<typeof sticky> | null, number | null, number?][] = [
    ['at half of the life that was left', failing(), sticky(300_000), at(150)],
    ['then at three quarters', failing({ triedAt: at(151) }), sticky(300_000), at(225)],
    ['then at seven eighths', failing({ triedAt: at(226) }), sticky(300_000), at(262.5)],
    [
      'then at 15/16, where that is not too soon after it',
      failing({ triedAt: at(881) }),
      sticky(1_000_000),
      at(937.5),
    ],
    ['else the least time after it', failing({ triedAt: at(263) }), sticky(300_000), at(293)],
    ['and no more', failing({ triedAt: at(940) }), sticky(1_000_000), null],
    ['never at the lapse or after it', failing({ triedAt: at(20) }), sticky(50_000), null],
    [
      'an ordinary attempt stands for the moments before it',
      failing({ triedAt: at(155) }),
      sticky(300_000),
      at(225),
    ],
    ['that is due, if nobody looked in time', failing(), sticky(300_000), at(150), at(290)],
    ['with nothing sticky: never', failing(), null, null],
    [
      'of what came before it failed: from then on',
      failing(),
      sticky(1_000_000, { since: at(-900) }),
      at(50),
    ],
    [
      'something new: as soon as may be',
      failing({ triedAt: at(5) }),
      sticky(300_000, { since: at(10) }),
      at(35),
    ],
    [
      'something new, that lapses later than another',
      failing({ triedAt: at(155) }),
      sticky(300_000, { newest: at(190) }),
      at(190),
    ],
    [
      'not before the end of a Retry-After',
      failing({ holdKind: 'retry_after', holdUntil: at(200) }),
      sticky(300_000),
      at(200),
    ],
    ['nor of the day of a 410', failing({ holdKind: 'gone', holdUntil: at(86_400) }), sticky(300_000), null],
    [
      'not at all beyond a Retry-After that outlasts it',
      failing({ holdKind: 'retry_after', holdUntil: at(300) }),
      sticky(300_000),
      null,
    ],
    [
      'not after it has failed for long',
      failing({ failingSince: at(-3_500) }),
      sticky(260_000, { since: at(-10) }),
      null,
    ],
    [
      'not a ninth time within an hour',
      failing({ deadlineTries: [0, 1, 2, 3, 4, 5, 6, 7].map((n) => at(-1_000 + n)) }),
      sticky(HOUR),
      at(2_600),
      at(100),
    ],
    [
      'something new has half of the eight',
      failing({ deadlineTries: [0, 1, 2, 3].map((n) => at(-1_000 + n)), triedAt: at(0) }),
      sticky(300_000, { newest: at(40) }),
      at(150),
      at(41),
    ],
    [
      'a healthy one: never',
      failing({ failures: 0, failingSince: null, triedAt: null }),
      sticky(300_000),
      null,
    ],
  ]
  for (const [title, waiting, owed, expected, now = waiting.triedAt ?? NOW] of rows)
    it(title, () => expect(nextDeadlineTry(waiting, owed, now, SETTINGS)).to.equal(expected))

  it('is off where the operator says so', () => {
    const off = { ...SETTINGS, deadline_retries: false }
    expect(nextDeadlineTry(failing(), sticky(300_000), NOW, off)).to.equal(null)
    expect(mayHaveDeadlineTry(failing(), { now: NOW, ordinary: at(9_999) }, off)).to.equal(false)
  })

  it('is asked for only where one may come before the ordinary attempt', () => {
    const may = (waiting: Waiting, ordinary: number) =>
      mayHaveDeadlineTry(waiting, { now: at(1), ordinary }, SETTINGS)
    expect(may(failing(), at(31))).to.equal(true)
    expect(may(failing(), at(30))).to.equal(false)
    expect(may(failing({ failingSince: at(-3_600) }), at(500))).to.equal(false)
    expect(may(failing({ holdKind: 'gone', holdUntil: at(500) }), at(500))).to.equal(false)
    expect(may(failing({ failingSince: null }), at(500))).to.equal(false)
  })

  it('that fails leaves the backoff as it was, and is remembered', () => {
    const failure = { kind: 'failed', retryAfterMs: null, afterTakeover: false, startedAt: at(150) } as const
    const next = afterFailure(failing(), failure, at(151), { settings: BACKOFF, random: () => 0.5 })
    expect(next).to.deep.equal(failing({ triedAt: at(151), deadlineTries: [at(150)] }))
    const over = afterFailure(failing({ retryAt: at(151) }), failure, at(151), {
      settings: BACKOFF,
      random: () => 0.5,
    })
    expect(over, 'the ordinary time came meanwhile').to.include({ failures: 10 })
  })
})

describe('deadline tries, whatever comes', () => {
  /** What happens at a failing destination: time passes, something sticky comes, an answer asks for a wait. */
  const step = fc.oneof(
    fc.record({ does: fc.constant('passes' as const), ms: fc.integer({ min: 1, max: 20 * MINUTE }) }),
    fc.record({ does: fc.constant('sticky' as const), ms: fc.integer({ min: 1, max: HOUR }) }),
    fc.record({ does: fc.constant('busy' as const), ms: fc.integer({ min: 1, max: HOUR }) }),
  )

  it('keep every bound', () => {
    let tries = 0
    fc.assert(
      fc.property(
        fc.array(step, { minLength: 1, maxLength: 40 }),
        fc.integer({ min: 1, max: HOUR }),
        (steps, min) => {
          const settings = {
            ...SETTINGS,
            deadline_retry_min_ms: Math.min(min, 5 * MINUTE),
            long_outage_ms: HOUR,
          }
          let now = NOW
          let row = failing({ retryAt: NOW + 30 * DAY })
          let stickies: { since: number; lapsesAt: number }[] = []
          let asks: number | null = null
          const tried: number[] = []
          const owed = () => {
            stickies = stickies.filter(({ lapsesAt }) => lapsesAt > now)
            const [first] = stickies.toSorted((a, b) => a.lapsesAt - b.lapsesAt)
            return first === undefined
              ? null
              : {
                  ...first,
                  newest: Math.max(...stickies.map(({ since }) => since)),
                  latest: Math.max(...stickies.map(({ lapsesAt }) => lapsesAt)),
                }
          }
          const attempt = (lapsesAt: number) => {
            expect(now, 'before the lapse').to.be.below(lapsesAt)
            expect(now - NOW, 'a long outage').to.be.below(settings.long_outage_ms)
            if (row.holdUntil !== null) expect(now, 'Retry-After').to.be.at.least(row.holdUntil)
            expect(now - row.triedAt!, 'the least time').to.be.at.least(settings.deadline_retry_min_ms)
            tried.push(now)
            expect(tried.filter((at) => at > now - HOUR).length, 'an hour').to.be.at.most(8)
            const failure = {
              kind: asks === null ? 'failed' : 'busy',
              retryAfterMs: asks,
              afterTakeover: false,
              startedAt: now,
            } as const
            asks = null
            const before = row
            row = afterFailure(row, failure, now + 40, { settings: BACKOFF, random: () => 0.5 })
            expect(row).to.include({
              failures: before.failures,
              retryAt: before.retryAt,
              retryInterval: before.retryInterval,
            })
            tries += 1
          }
          /** As limpet does: it looks at the time that it has planned, and asks again. */
          const until = (end: number) => {
            for (;;) {
              const next = owed()
              const at = nextDeadlineTry(row, next, now, settings)
              if (next === null || at === null || at > end) break
              now = Math.max(now, at)
              if (nextDeadlineTry(row, owed(), now, settings) === at) attempt(next.lapsesAt)
            }
            now = Math.max(now, end)
          }
          for (const one of steps) {
            if (one.does === 'passes') until(now + one.ms)
            else if (one.does === 'busy') asks = one.ms
            else stickies.push({ since: now, lapsesAt: now + one.ms })
          }
        },
      ),
      { numRuns: 2_000 },
    )
    expect(tries).to.be.above(500)
  })
})

describe('when it is looked at again (nextDeadlineLook)', () => {
  const next = (row: Waiting, owed: ReturnType<typeof sticky>) =>
    nextDeadlineLook(row, owed, row.triedAt ?? NOW, SETTINGS)

  it('at the next try', () => {
    expect(next(failing(), sticky(300_000))).to.deep.equal({ at: at(150), tries: true })
  })

  it('when what can’t be helped any more has lapsed, if another lapses later', () => {
    const row = failing({ triedAt: at(285) })
    expect(next(row, sticky(300_000))).to.equal(null)
    expect(next(row, sticky(300_000, { latest: at(900) }))).to.deep.equal({ at: at(315), tries: false })
    expect(next(failing({ triedAt: at(940) }), sticky(1_000_000, { latest: at(2_000) }))).to.deep.equal({
      at: at(1_000),
      tries: false,
    })
  })

  it('not where that one lapses too before it may be tried, or it has failed for long by then', () => {
    expect(next(failing({ triedAt: at(285) }), sticky(300_000, { latest: at(310) }))).to.equal(null)
    expect(next(failing({ triedAt: at(3_500) }), sticky(3_601_000, { latest: at(9_000) }))).to.equal(null)
  })
})
