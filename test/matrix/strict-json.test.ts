import { expect } from 'chai'
import fc from 'fast-check'
import { canonicalize } from '../../src/matrix/canonical-json.ts'
import { isJsonObject, isOddNumber, JsonError, textOfOddNumber } from '../../src/matrix/json-value.ts'
import type { JsonObject } from '../../src/matrix/json-value.ts'
import { MAX_DEPTH } from '../../src/matrix/read-limits.ts'
import { parseJson } from '../../src/matrix/strict-json.ts'

function failureOf(input: string | Uint8Array): JsonError {
  try {
    parseJson(input)
  } catch (error) {
    if (error instanceof JsonError) return error
    throw error
  }
  throw new Error('was taken')
}

describe('strict JSON', () => {
  it('reads what JSON.parse reads, the same', () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false }), fc.boolean(), (value, spaced) => {
        const text = JSON.stringify(value, (_, v: unknown) => (isOdd(v) ? 0 : v), spaced ? 2 : 0)
        fc.pre(!/\\ud[89a-f]/.test(text))
        expect(parseJson(text)).to.deep.equal(JSON.parse(text))
        expect(parseJson(Buffer.from(text))).to.deep.equal(JSON.parse(text))
      }),
    )
  })

  it('takes no text that JSON.parse refuses, and refuses none with another error', () => {
    const pieces = [
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"',
      '\\',
      '"a"',
      '1',
      '-',
      '0',
      '.',
      'e',
      'true',
      'null',
      ' ',
      '\n',
      '\\u',
      '\x01',
    ]
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 9 }), (chosen) => {
        const text = chosen.join('')
        let fault: string | null = null
        try {
          parseJson(text)
        } catch (error) {
          expect(error).to.be.instanceOf(JsonError)
          fault = (error as JsonError).fault
        }
        let valid = true
        try {
          JSON.parse(text)
        } catch {
          valid = false
        }
        if (fault !== 'duplicate key') expect(fault === null, text).to.equal(valid)
      }),
      { numRuns: 5000 },
    )
  })

  for (const [path, text] of [
    ['items.3.pdu.content.body', '{"items":[1,2,3,{"pdu":{"content":{"body":1,"x":[{}],"body":2}}}]}'],
    ['a', '{"a":1,"\\u0061":2}'],
    ['__proto__', '{"__proto__":1,"__proto__":1}'],
    ['toString', '{"toString":1,"toString":1}'],
    ['😀', '{"😀":1,"\\ud83d\\ude00":1}'],
  ] as const) {
    it(`names the place of a duplicate key: ${path}`, () => {
      expect(failureOf(text)).to.include({ fault: 'duplicate key', path })
    })
  }

  for (const [what, text, path] of [
    ['escaped', '{"a":["x","\\ud800"]}', 'a.1'],
    ['escaped and turned round', '{"a":["\\udc00\\ud800"]}', 'a.0'],
    ['raw', '{"a":"\ud800 "}', 'a'],
    ['half raw, half escaped', '["\ud83d\\u0020"]', '0'],
    ['in a key', '{"b":{"\\udfff":1}}', 'b'],
  ] as const) {
    it(`refuses a lone surrogate, ${what}`, () => {
      expect(failureOf(text)).to.include({ fault: 'lone surrogate', path })
    })
  }

  it('takes a pair of surrogates in every spelling', () => {
    expect(parseJson('["\\ud83d\\ude00","😀","\\ud83d\ude00"]')).to.deep.equal(['😀', '😀', '😀'])
  })

  for (const text of [
    '',
    ' ',
    '{',
    '[1',
    '"a',
    '"\\',
    '"\\u12"',
    '"\t"',
    '01',
    '1.',
    '.5',
    '+1',
    '-',
    'nul',
    'NaN',
    '[1,]',
    '{"a":1,}',
    '{a:1}',
    "{'a':1}",
    '1 2',
    '\ufeff1',
    '{"a" 1}',
    '[1 2]',
    '"\\x"',
  ]) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      expect(failureOf(text).fault).to.equal('syntax')
    })
  }

  it('refuses bytes that are not UTF-8, also an encoded surrogate', () => {
    expect(failureOf(Uint8Array.of(0x22, 0xff, 0x22)).message).to.equal('not UTF-8')
    expect(failureOf(Uint8Array.of(0x22, 0xed, 0xa0, 0x80, 0x22)).message).to.equal('not UTF-8')
  })

  for (const text of [
    '-0',
    '1.0',
    '1.5',
    '1e3',
    '1E3',
    '0.0',
    '9007199254740992',
    '-9007199254740992',
    '1'.repeat(400),
    '1e400',
  ]) {
    it(`keeps the number ${text.slice(0, 20)} as it was written`, () => {
      const value = parseJson(`{"a":[${text}]}`) as { a: [unknown] }
      const [odd] = value.a
      expect(isOddNumber(odd) && textOfOddNumber(odd)).to.equal(text)
      expect(isJsonObject(odd)).to.equal(false)
    })
  }

  it('reads integers up to the edges of the canonical range as numbers', () => {
    const edges = [0, -1, 9007199254740991, -9007199254740991]
    expect(parseJson(JSON.stringify(edges))).to.deep.equal(edges)
  })

  it('ends in an error, not in a stack overflow, for 100,000 brackets', () => {
    expect(failureOf('['.repeat(100_000)).fault).to.equal('too deep')
    expect(failureOf('{"a":'.repeat(100_000)).fault).to.equal('too deep')
    expect(failureOf('['.repeat(100_000) + ']'.repeat(100_000)).path).to.have.length.below(300)
    expect(parseJson('['.repeat(MAX_DEPTH) + ']'.repeat(MAX_DEPTH))).to.be.an('array')
  })

  it('reads megabytes in one string, escapes and all', () => {
    const long = 'x'.repeat(5_000_000)
    expect(parseJson(`"\\n${long}"`)).to.have.length(5_000_001)
    expect(failureOf(`"\\n${long}`).fault).to.equal('syntax')
    expect(canonicalize(` "\\n${long}"`)).to.have.length(5_000_004)
  })

  it('takes __proto__ as a key like any other', () => {
    const value = parseJson('{"__proto__":{"admin":true},"a":{"constructor":1}}') as JsonObject
    expect(Object.keys(value)).to.deep.equal(['__proto__', 'a'])
    expect(value['admin']).to.equal(undefined)
    expect(Object.getPrototypeOf(value)).to.equal(Object.prototype)
  })

  it('never quotes a value in an error', () => {
    expect(failureOf('{"password":"secret" "more"}').message).not.to.match(/secret|more/)
    expect(failureOf('{"password":"secret\\q"}').message).not.to.match(/secret/)
  })
})

function isOdd(value: unknown): boolean {
  return typeof value === 'number' && (!Number.isSafeInteger(value) || Object.is(value, -0))
}
