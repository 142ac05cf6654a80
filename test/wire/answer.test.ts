import { expect } from 'chai'
import { readAnswer } from '../../src/wire/answer.ts'
import type { Exchange } from '../../src/wire/exchange.ts'

const whole: Exchange = {
  ending: 'whole',
  handed: true,
  answerBegan: true,
  status: 200,
  retryAfter: undefined,
  body: '{"pdus":{}}',
  error: null,
}
const read = (over: Partial<Exchange>) => readAnswer({ ...whole, ...over }, Date.UTC(2026, 0, 1))

describe('what an answer means', () => {
  it('an error for a PDU is kept on one line, of reasonable length', () => {
    const error = `no\u0000pe\r\n${'x'.repeat(1000)}`
    const result = read({ body: JSON.stringify({ pdus: { $a: { error }, $b: {}, $c: null, $d: [] } }) })
    const pdus = result.kind === 'answered' ? result.pdus : null
    expect(pdus?.get('$a')?.error).to.match(/^no pe x+…$/)
    expect(pdus?.get('$a')?.error).to.have.length(500)
    for (const id of ['$b', '$c', '$d']) expect(pdus?.get(id)).to.deep.equal({ error: null })
  })

  it('an error that is no string is an error all the same', () => {
    const result = read({ body: '{"pdus":{"$a":{"error":{"errcode":"M_X"}}}}' })
    const pdus = result.kind === 'answered' ? result.pdus : null
    expect(pdus?.get('$a')).to.deep.equal({ error: '{"errcode":"M_X"}' })
  })

  for (const pdus of ['null', '[]', '"no"', '7']) {
    it(`pdus: ${pdus} lists nothing`, () => {
      expect(read({ body: `{"pdus":${pdus}}` })).to.deep.equal({ kind: 'answered', pdus: null })
    })
  }

  it('an event id named __proto__ is an event id', () => {
    const result = read({ body: '{"pdus":{"__proto__":{"error":"x"}}}' })
    expect(result.kind === 'answered' && result.pdus?.get('__proto__')).to.deep.equal({ error: 'x' })
  })

  it('only 429 and 503 are asked how long to wait', () => {
    for (const [status, wait] of [
      [429, 7000],
      [503, 7000],
      [500, null],
      [301, null],
    ] as const) {
      expect(read({ status, retryAfter: '7', body: '' })).to.include({ status, retryAfterMs: wait })
    }
  })

  it('an error of any form keeps its status, and its errcode where it has one', () => {
    expect(read({ status: 403, body: '{"errcode":"M_FORBIDDEN","error":"Go\\naway"}' })).to.include({
      stage: 'http',
      errcode: 'M_FORBIDDEN',
      message: 'answered 403 M_FORBIDDEN: Go away',
    })
    expect(read({ status: 403, body: '{"errcode":7,"error":["x"]}' })).to.include({
      errcode: null,
      message: 'answered 403',
    })
    expect(read({ status: 502, body: '<html>' })).to.include({ errcode: null, message: 'answered 502' })
  })

  it('whether it was handed over is passed on, never guessed', () => {
    for (const handed of [true, false]) {
      for (const ending of ['timeout', 'aborted', 'not held', 'error', 'too large'] as const) {
        expect(read({ ending, handed, status: null })).to.include({ kind: 'failed', handed })
      }
    }
  })
})
