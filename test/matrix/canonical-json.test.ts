import { expect } from 'chai'
import fc from 'fast-check'
import {
  canonicalFromValue,
  canonicalize,
  canonicalText,
  compareCodePoints,
} from '../../src/matrix/canonical-json.ts'
import { JsonError } from '../../src/matrix/json-value.ts'
import { parseJson } from '../../src/matrix/strict-json.ts'
import { specVectors } from './fixtures.ts'

/** As plainly as it can be said: keys as arrays of code points, compared one by one. */
function reference(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(reference).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const points = (text: string) => Array.from(text, (character) => character.codePointAt(0)!)
  const members = Object.entries(value).map(([key, member]) => ({
    key,
    member: member as unknown,
    order: points(key),
  }))
  members.sort((a, b) => {
    const at = a.order.findIndex((point, i) => point !== b.order[i])
    if (at === -1) return a.order.length - b.order.length
    return at >= b.order.length ? 1 : a.order[at]! - b.order[at]!
  })
  return `{${members.map(({ key, member }) => `${JSON.stringify(key)}:${reference(member)}`).join(',')}}`
}

// Characters around every edge: ASCII, escapes, below and above the surrogates, beyond U+FFFF.
const text = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        'a',
        'b',
        'A',
        '1',
        '"',
        '\\',
        '\n',
        '\x7f',
        '\x00',
        '\u2028',
        '\ud7ff',
        '\ue000',
        '\uffff',
        '😀',
        '\u{10000}',
        '\u{10ffff}',
      ),
      fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
    ),
    { maxLength: 4 },
  )
  .map((characters) => characters.join(''))
const json = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'medium' },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger(),
    text,
    tie('list'),
    tie('object'),
  ),
  list: fc.array(tie('value'), { maxLength: 4 }),
  object: fc.dictionary(text, tie('value'), { maxKeys: 6, noNullPrototype: true }),
})).value

describe('canonical JSON', () => {
  const { canonicalJson, numbersFromValues } = specVectors
  for (const [index, [source, canonical]] of canonicalJson.entries()) {
    it(`gives the specification's example ${index + 1}: ${canonical.slice(0, 40)}`, () => {
      expect(canonicalize(source)).to.equal(canonical)
      expect(canonicalFromValue(JSON.parse(source))).to.equal(canonical)
    })
  }

  it("gives the specification's example of numbers for values of our own", () => {
    expect(canonicalFromValue(JSON.parse(numbersFromValues[0]))).to.equal(numbersFromValues[1])
  })

  it('agrees with a plain reference implementation, whatever the spacing and escapes', () => {
    fc.assert(
      fc.property(json, fc.boolean(), fc.boolean(), (value, spaced, escaped) => {
        let source = JSON.stringify(value, null, spaced ? '\t' : '')
        if (escaped)
          source = source.replace(
            /[\u007f-\uffff]/g,
            (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
          )
        const canonical = reference(value)
        expect(canonicalize(source)).to.equal(canonical)
        expect(canonicalFromValue(value)).to.equal(canonical)
        expect(JSON.parse(canonical)).to.deep.equal(JSON.parse(source))
      }),
      { numRuns: 1000 },
    )
  })

  it('changes nothing the second time', () => {
    fc.assert(
      fc.property(json, (value) => {
        const once = canonicalFromValue(value)
        expect(canonicalize(once)).to.equal(once)
      }),
    )
  })

  it('orders keys by code point where UTF-16 orders them otherwise', () => {
    expect(canonicalize('{"\uffff":1,"😀":2,"\ue000":3,"z":4,"10":5,"9":6}')).to.equal(
      '{"10":5,"9":6,"z":4,"\ue000":3,"\uffff":1,"😀":2}',
    )
    expect(['😀', '\uffff'].sort()).to.deep.equal(['😀', '\uffff'])
    expect(compareCodePoints('a', 'ab')).to.be.below(0)
    expect(compareCodePoints('a', 'a')).to.equal(0)
  })

  it('keeps odd numbers as they were written, where that is wanted', () => {
    const source = '{"z":1.0,"a":[-0,1e3,1.50,123456789012345678901234567890]}'
    expect(canonicalize(source, { oddNumbers: 'keep' })).to.equal(
      '{"a":[-0,1e3,1.50,123456789012345678901234567890],"z":1.0}',
    )
  })

  for (const number of ['-0', '1.0', '1e3', '1.5', '9007199254740992', '-9007199254740992']) {
    it(`refuses ${number} otherwise, and says where it is`, () => {
      const attempt = () => canonicalize(`{"b":1,"content":{"x":[0,${number}]}}`)
      expect(attempt).to.throw(JsonError).include({ fault: 'odd number', path: 'content.x.1' })
    })
  }

  it('writes the members named __proto__ and constructor', () => {
    expect(canonicalize('{"constructor":1,"__proto__":{"b":1,"a":2}}')).to.equal(
      '{"__proto__":{"a":2,"b":1},"constructor":1}',
    )
  })

  it('leaves out undefined members of our own values and refuses what is no JSON', () => {
    expect(canonicalFromValue({ b: undefined, a: 1, c: Object.create(null) as object })).to.equal(
      '{"a":1,"c":{}}',
    )
    const loop: unknown[] = []
    loop.push(loop)
    for (const bad of [[undefined], { a: 1n }, new Date(0), new Map(), () => 1, Symbol('x')]) {
      expect(() => canonicalFromValue(bad)).to.throw(TypeError)
    }
    for (const bad of [1.5, NaN, Infinity, { a: 2 ** 53 }, ['\ud800'], { '\udc00': 1 }, loop]) {
      expect(() => canonicalFromValue(bad)).to.throw(JsonError)
    }
  })

  it('makes the canonical text of one part of a request', () => {
    const body = parseJson('{"items":[{"type":"event","pdu":{"b":1.5,"a":"\\u65e5"}}]}') as {
      items: [{ pdu: never }]
    }
    expect(canonicalText(body.items[0].pdu, { oddNumbers: 'keep' })).to.equal('{"a":"日","b":1.5}')
  })
})
