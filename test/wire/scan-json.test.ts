import { expect } from 'chai'
import fc from 'fast-check'
import { isNullAt, membersAt, membersOf, namesOf, plainAt } from '../../src/wire/scan-json.ts'

const NAMES = namesOf(['a', '__proto__', 'é', 'a"b'])

/** What `JSON.parse` makes of it; null: no object, or not JSON. */
function parsed(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null
  } catch {
    return null
  }
}

function agrees(text: string): void {
  // As bytes that are not UTF-8 are read.
  const bytes = Buffer.from(text)
  const value = parsed(bytes.toString())
  const members = membersOf(bytes, NAMES)
  expect(members === null, text).to.equal(value === null)
  if (members === null || value === null) return
  expect([...members.keys()].sort(), text).to.deep.equal(
    [...NAMES.all].filter((name) => Object.hasOwn(value, name)).sort(),
  )
  for (const [name, at] of members) {
    const its = Object.getOwnPropertyDescriptor(value, name)?.value as unknown
    const plain = typeof its === 'string' || typeof its === 'number' ? its : null
    expect(plainAt(bytes, at), text).to.equal(plain)
    expect(isNullAt(bytes, at), text).to.equal(its === null)
    expect(membersAt(bytes, at, NAMES) === null, text).to.equal(
      typeof its !== 'object' || its === null || Array.isArray(its),
    )
  }
}

describe('members of JSON that is not built', () => {
  const key = fc.constantFrom('a', '__proto__', 'é', 'a"b', 'b', '', 'A', 'aa')
  const plain = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.double(),
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
  )
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof({ depthSize: 'small' }, plain, fc.array(tie('value')), fc.dictionary(key, tie('value'))),
  }))
  const spaced = (it: unknown, gap: string) => JSON.stringify(it, null, gap)

  it('what JSON.parse takes is taken, and says the same', () => {
    const object = fc.dictionary(key, value)
    fc.assert(
      fc.property(object, fc.constantFrom('', ' ', '\t'), (it, gap) => agrees(spaced(it, gap))),
      { numRuns: 100 },
    )
  })

  it('what JSON.parse refuses is refused: a text with one character put in, left out or changed', () => {
    const change = fc.tuple(
      fc.nat(),
      fc.constantFrom(...'{}[]",:\\u0019.eE+-tfn \n\u0001é'.split('')),
      fc.nat(2),
    )
    fc.assert(
      fc.property(fc.dictionary(key, value), change, (it, [where, sign, how]) => {
        const text = JSON.stringify(it)
        const at = where % (text.length + 1)
        agrees(text.slice(0, at) + (how === 0 ? '' : sign) + text.slice(how === 1 ? at : at + 1))
      }),
      { numRuns: 500 },
    )
  })

  const texts = [
    ...[
      '',
      ' ',
      '{',
      '{}',
      ' {} ',
      '{}}',
      '{},',
      '[]',
      '"a"',
      '{"a"}',
      '{"a":}',
      '{"a":1,}',
      '{,}',
      '{"a":1 "b":2}',
    ],
    ...['{"a":01}', '{"a":-}', '{"a":1.}', '{"a":.5}', '{"a":1e}', '{"a":1e+5}', '{"a":-0.5E-2}', '{"a":+1}'],
    ...[
      '{"a":tru}',
      '{"a":true}',
      '{"a":nulls}',
      '{"a":"\\x"}',
      '{"a":"\\u12g4"}',
      '{"a":"\\ud800"}',
      '{"a":"\t"}',
    ],
    ...[
      '{"a":1,"a":2}',
      '{"\\u0061":3}',
      '{"a":1,"\\u0061":{}}',
      '{"a\\"b":"x\\ny"}',
      '\ufeff{}',
      '{"a":[1,[2,{"a":3}]]}',
    ],
  ]
  it('and every odd text that came to mind', () => {
    for (const text of texts) agrees(text)
  })

  it('nesting is limited by nothing but the text', () => {
    for (const [open, close] of [
      ['[', ']'],
      ['{"a":', '}'],
    ] as const) {
      const deep = (n: number) => open.repeat(n) + '1' + close.repeat(n)
      expect(membersOf(Buffer.from(`{"x":${deep(50_000)},"a":7}`), NAMES)?.has('a')).to.equal(true)
      expect(membersOf(Buffer.from(`{"x":${open.repeat(100_000)}`), NAMES)).to.equal(null)
    }
  })
})
