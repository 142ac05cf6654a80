import { expect } from 'chai'
import { judge, nextTimeout } from '../../../src/deliver/rules/outcome.ts'
import type { SendFailed, SendStage } from '../../../src/wire/send-result.ts'

const SENT = { positions: [3, 5, 8], eventIds: ['$a', '$b', '$c'], firstAttempt: true }

const failed = (over: Partial<SendFailed>): SendFailed => ({
  kind: 'failed',
  stage: 'http',
  status: null,
  errcode: null,
  retryAfterMs: null,
  message: 'no',
  durationMs: 10,
  handed: true,
  ...over,
})

describe('what a failed attempt means (judge)', () => {
  for (const status of [301, 400, 401, 403, 404, 408, 413, 500, 502, 503, 504, 520]) {
    it(`status ${status}: the destination's trouble, and the transaction stays`, () => {
      const judged = judge(failed({ status }), SENT)
      const plain = { kind: 'failed', discard: false, timedOut: false, retryAfterMs: null, status }
      expect(judged).to.deep.equal({ ...plain, refused: false })
      // Read to its end, it is a refusal, and the destination has done with it.
      expect(judge(failed({ status, whole: true }), SENT)).to.deep.equal({ ...plain, refused: true })
    })
  }

  it('status 429: busy, with the time it asks for', () => {
    expect(judge(failed({ status: 429, retryAfterMs: 7_000 }), SENT)).to.include({
      kind: 'busy',
      retryAfterMs: 7_000,
    })
  })

  it('status 503: busy where it says for how long', () => {
    expect(judge(failed({ status: 503, retryAfterMs: 7_000 }), SENT)).to.include({
      kind: 'busy',
      retryAfterMs: 7_000,
    })
    expect(judge(failed({ status: 503 }), SENT)).to.include({ kind: 'failed' })
  })

  it('a wait that another status comes with changes nothing', () => {
    expect(judge(failed({ status: 410, retryAfterMs: 7_000 }), SENT)).to.include({ kind: 'gone' })
    expect(judge(failed({ status: 500, retryAfterMs: 7_000 }), SENT)).to.include({ kind: 'failed' })
  })

  it('status 410: gone', () => {
    expect(judge(failed({ status: 410, whole: true }), SENT)).to.include({
      ...{ kind: 'gone', discard: false, refused: false },
    })
  })

  for (const stage of ['discovery', 'address', 'connect', 'tls'] satisfies SendStage[]) {
    it(`${stage}: it provably never left, so it is put together anew`, () => {
      expect(judge(failed({ stage, handed: false }), SENT)).to.include({ kind: 'failed', discard: true })
    })

    it(`${stage}, repeated: an earlier attempt may have arrived, so it stays`, () => {
      const judged = judge(failed({ stage, handed: false }), { ...SENT, firstAttempt: false })
      expect(judged).to.include({ kind: 'failed', discard: false })
    })
  }

  it('a time-out is told apart, and the transaction stays', () => {
    expect(judge(failed({ stage: 'timeout' }), SENT)).to.include({
      kind: 'failed',
      discard: false,
      timedOut: true,
    })
  })

  it('an answer that is no JSON object: it stays', () => {
    expect(judge(failed({ stage: 'protocol', status: 200 }), SENT)).to.include({
      kind: 'failed',
      discard: false,
    })
  })
})

describe('what an answer means (judge)', () => {
  const answered = (pdus: [string, string | null][] | null) =>
    judge(
      { kind: 'answered', durationMs: 1, pdus: pdus && new Map(pdus.map(([id, error]) => [id, { error }])) },
      SENT,
    )

  it('without `pdus`: all are listed, and that says nothing of whether it ever lists', () => {
    expect(answered(null)).to.deep.equal({
      kind: 'answered',
      listed: [3, 5, 8],
      unlisted: [],
      listsAny: false,
      pduErrors: null,
    })
  })

  it('with all of them', () => {
    const all = answered([
      ['$c', null],
      ['$a', null],
      ['$b', null],
    ])
    expect(all).to.deep.include({ listed: [3, 5, 8], unlisted: [], listsAny: true, pduErrors: null })
  })

  it('with one of them: the others are not listed', () => {
    expect(answered([['$b', null]])).to.deep.include({ listed: [5], unlisted: [3, 8], listsAny: true })
  })

  it('with none of them', () => {
    expect(answered([])).to.deep.include({ listed: [], unlisted: [3, 5, 8], listsAny: false })
  })

  it('with others only: none of ours is listed', () => {
    expect(answered([['$other', null]])).to.deep.include({ unlisted: [3, 5, 8], listsAny: false })
  })

  it('with an error for one: it is listed, and the error is kept', () => {
    const judged = answered([
      ['$a', 'not allowed'],
      ['$b', null],
      ['$c', null],
    ])
    expect(judged).to.deep.include({ listed: [3, 5, 8], pduErrors: { $a: 'not allowed' } })
  })

  it('an error without end is cut', () => {
    const judged = answered([['$a', 'x'.repeat(10_000)]])
    expect(judged.kind === 'answered' && judged.pduErrors?.['$a']).to.have.length(500)
  })
})

describe('how long the next request may take (nextTimeout)', () => {
  const USUAL = 60_000
  const rows: [
    string,
    number | null,
    { timedOut: boolean; answered: boolean; durationMs: number },
    number | null,
  ][] = [
    [
      'after a time-out: twice as long',
      null,
      { timedOut: true, answered: false, durationMs: USUAL },
      120_000,
    ],
    ['and again', 120_000, { timedOut: true, answered: false, durationMs: 120_000 }, 240_000],
    ['up to 300 s', 240_000, { timedOut: true, answered: false, durationMs: 240_000 }, 300_000],
    [
      'after a quick answer: the usual',
      240_000,
      { timedOut: false, answered: true, durationMs: 29_999 },
      null,
    ],
    [
      'after a slow answer: as long as before',
      240_000,
      { timedOut: false, answered: true, durationMs: 30_000 },
      240_000,
    ],
    [
      'after another failure: as long as before',
      240_000,
      { timedOut: false, answered: false, durationMs: 5 },
      240_000,
    ],
    ['with no trouble: the usual', null, { timedOut: false, answered: true, durationMs: 5 }, null],
  ]
  for (const [title, current, attempt, expected] of rows) {
    it(title, () => expect(nextTimeout(current, USUAL, attempt)).to.equal(expected))
  }
})
