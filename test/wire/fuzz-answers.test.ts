/**
 * Whatever a server answers to a transaction has a typed outcome and words that are fit to print; nothing throws.
 * `LIMPET_FUZZ_RUNS`: how many of each.
 */
import { expect } from 'chai'
import fc from 'fast-check'
import { FUZZ_RUNS } from '../support/fuzz-runs.ts'
import { pduErrorClass, PDU_ERROR_CLASSES } from '../../src/observe/pdu-error-class.ts'
import { judge } from '../../src/deliver/rules/outcome.ts'
import { readAnswer, type Answer } from '../../src/wire/answer.ts'
import { firstWords } from '../../src/wire/first-words.ts'

const numRuns = FUZZ_RUNS
const SENT = ['$a', '$b', '__proto__']
const DAY_MS = 86_400_000
/** Nothing that steers a terminal, and no half characters. */
const PRINTABLE = /^[^\p{Cc}\p{Cs}\p{Zl}\p{Zp}]*$/u

const piece = fc.constantFrom(
  ...[
    '<',
    '>',
    '</',
    '<!--',
    '-->',
    '<script>',
    '</script>',
    '<style',
    '&nbsp;',
    '"',
    '{',
    '}',
    '[',
    ']',
    ':',
    ',',
  ],
  ...[
    '"pdus"',
    '"error"',
    '"errcode"',
    '"retry_after_ms"',
    '"$a"',
    '"$b"',
    '{}',
    'null',
    '1e999',
    '-1',
    '\\u0000',
  ],
)
const odd = fc.oneof(fc.string({ unit: 'binary' }), piece)
const pieces = fc
  .array(fc.oneof(piece, fc.string({ maxLength: 5 })), { maxLength: 30 })
  .map((them) => them.join(''))
const entry = fc.oneof(fc.constant({}), fc.record({ error: fc.oneof(odd, fc.jsonValue()) }), fc.jsonValue())
const object = fc.record(
  {
    pdus: fc.oneof(fc.dictionary(fc.constantFrom(...SENT, '$other'), entry), fc.jsonValue()),
    errcode: fc.oneof(odd, fc.jsonValue()),
    error: fc.oneof(odd, fc.jsonValue()),
    retry_after_ms: fc.oneof(fc.double(), fc.integer(), fc.jsonValue()),
  },
  { requiredKeys: [] },
)
const body = fc.oneof(
  object.map((value) => Buffer.from(JSON.stringify(value))),
  pieces.map((text) => Buffer.from(text)),
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
)
const header = fc.option(fc.oneof(odd, fc.constantFrom('7', '1e9', '-1', 'Wed, 21 Oct 2026 07:28:00 GMT')), {
  nil: undefined,
})
const answer: fc.Arbitrary<Answer> = fc.record({
  ending: fc.constantFrom(
    'whole',
    'whole',
    'whole',
    'too large',
    'given up',
    'timeout',
    'aborted',
    'not held',
    'error',
  ),
  handed: fc.boolean(),
  answerBegan: fc.boolean(),
  status: fc.oneof(fc.constantFrom(200, 429, 503, 410, null), fc.integer({ min: 100, max: 999 })),
  ...{ retryAfter: header, server: header, body },
  error: fc.option(fc.string().map((text) => new Error(text))),
})

const fits = (text: string, most: number) => {
  expect(text.length).to.be.at.most(most)
  expect(text).to.match(PRINTABLE)
}

describe('whatever is answered to a transaction', () => {
  it('has a typed outcome, and words that are fit to print', () => {
    const seen = new Set<string>()
    const property = fc.property(answer, fc.boolean(), (given, firstAttempt) => {
      const read = readAnswer(given, Date.UTC(2026, 0, 1), SENT)
      if (read.kind === 'failed') {
        fits(read.message, 400)
        fits(read.errcode ?? '', 100)
        expect(read.handed).to.equal(given.handed)
        if (read.retryAfterMs !== null) expect(read.retryAfterMs).to.be.within(0, DAY_MS)
      } else {
        expect(given).to.include({ ending: 'whole', status: 200 })
        for (const { error } of read.pdus?.values() ?? []) fits(error ?? '', 500)
      }
      const judged = judge({ ...read, durationMs: 1 }, { positions: [1, 2, 3], eventIds: SENT, firstAttempt })
      if (judged.kind === 'answered') {
        expect([...judged.listed, ...judged.unlisted].sort()).to.deep.equal([1, 2, 3])
        for (const error of Object.values(judged.pduErrors ?? {}))
          expect(PDU_ERROR_CLASSES).to.include(pduErrorClass(error))
      } else {
        expect(judged.discard && given.handed, 'what may have arrived is never made anew').to.equal(false)
        expect(given.ending === 'whole' && given.status === 429).to.equal(
          judged.kind === 'busy' && given.status === 429 && given.ending === 'whole',
        )
      }
      seen.add(judged.kind)
    })
    fc.assert(property, { numRuns })
    expect([...seen]).to.include.members(['answered', 'failed', 'busy', 'gone'])
  })

  it('is told in a few words, whatever text it is', () => {
    fc.assert(
      fc.property(body, (bytes) => fits(firstWords(bytes), 150)),
      { numRuns },
    )
  })
})
