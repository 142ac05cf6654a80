import { expect } from 'chai'
import fc from 'fast-check'
import { makeJsonReader } from '../../src/matrix/json-reader.ts'
import { JsonError } from '../../src/matrix/json-value.ts'
import type { JsonValue } from '../../src/matrix/json-value.ts'
import {
  BODY_LIMITS,
  COST_OF_VALUE,
  TRUSTED,
  UNLIMITED,
  type ReadLimits,
} from '../../src/matrix/read-limits.ts'
import { parseJson } from '../../src/matrix/strict-json.ts'

/** Everything that a reader gives, read with this budget a call. */
function readAll(
  text: string,
  { budget = 1, limits = TRUSTED, handOut = null as string | null } = {},
): { elements: JsonValue[]; document: JsonValue; calls: number } {
  const reader = makeJsonReader(Buffer.from(text), limits, handOut)
  const elements: JsonValue[] = []
  for (let calls = 1; ; calls++) {
    const found = reader.read(budget)
    if (found === 'element') elements.push(reader.taken())
    if (found === 'done') return { elements, document: reader.taken(), calls }
  }
}

function faultOf(read: () => unknown): Pick<JsonError, 'fault' | 'path'> {
  try {
    read()
  } catch (error) {
    if (error instanceof JsonError) return { fault: error.fault, path: error.path }
    throw error
  }
  throw new Error('was taken')
}

const value = fc.jsonValue({ noUnicodeString: false }).map((one) => JSON.stringify(one, plain))
const plain = (_key: string, one: unknown) =>
  typeof one === 'number' ? (Number.isSafeInteger(one) ? one + 0 : 0) : one

describe('a reader of JSON', () => {
  it('reads in pieces what is read in one go', () => {
    fc.assert(
      fc.property(value, fc.integer({ min: 1, max: 100 }), (text, budget) => {
        fc.pre(!/\\ud[89a-f]/.test(text))
        expect(readAll(text, { budget }).document).to.deep.equal(parseJson(text))
      }),
    )
  })

  it('hands out the elements of one list, and the rest of the document at the end', () => {
    fc.assert(
      fc.property(fc.array(value), value, (list, other) => {
        fc.pre(!/\\ud[89a-f]/.test(list.join() + other))
        const text = `{"a":${other},"items":[${list.join(' , ')}],"b":{"items":[1]}}`
        const { elements, document } = readAll(text, { handOut: 'items' })
        expect(elements).to.deep.equal(list.map((one) => parseJson(one)))
        expect(document).to.deep.equal({ a: parseJson(other), items: [], b: { items: [1] } })
      }),
    )
  })

  it('reads whatever stands where one window of text ends and the next begins', () => {
    for (const piece of [
      '"ä€😀\\n\\ud83d\\ude00"',
      '-12.5e+3',
      'true',
      '{"kéy" : [ null ]}',
      '"\\\\"',
      '" "',
    ])
      for (let shift = 0; shift < 32; shift++) {
        const start = `["${' '.repeat(65_536 - 28 + shift)}",${piece}`
        expect(readAll(`${start},1]`, { budget: 1000 }).document).to.deep.equal(parseJson(`${start},1]`))
        expect(faultOf(() => readAll(start)).fault).to.equal('syntax')
      }
    const long = 'ä😀x\\u0041'.repeat(40_000)
    expect(readAll(`["${long}"]`).document).to.deep.equal(JSON.parse(`["${long}"]`))
  })

  it('says where an error is, in whichever piece', () => {
    const text = `{"items":[1,{"a":[${'0,'.repeat(70_000)}tru]}]}`
    expect(faultOf(() => readAll(text, { handOut: 'items' }))).to.deep.equal({
      fault: 'syntax',
      path: 'items.1.a.70000',
    })
    expect(faultOf(() => parseJson(text)).path).to.equal('items.1.a.70000')
  })

  const limits: ReadLimits = { ...BODY_LIMITS, values: 100, elementValues: 10, characters: 50 }
  const refused = (text: string, more: Partial<ReadLimits> = {}) =>
    faultOf(() => readAll(text, { limits: { ...limits, ...more }, handOut: 'items' }))

  it('refuses what is over a limit', () => {
    const ten = '[0,0,0,0,0,0,0,0,0]'
    const items = (...list: string[]) => `{"items":[${list.join()}]}`
    const many = readAll(items(...Array<string>(30).fill(ten)), { limits, handOut: 'items' })
    expect(many.elements, 'each has a limit of its own').to.have.length(30)
    expect(refused(items('0', '[0,0,0,0,0,0,0,0,0,0]'))).to.deep.equal({
      fault: 'too large',
      path: 'items.1.9',
    })
    const zeros = '0,'.repeat(60) + '0'
    const around = `{"before":[${zeros}],"items":[${ten},${ten}],"after":[${zeros}]}`
    expect(refused(around), 'what is around them has one together').to.deep.equal({
      fault: 'too large',
      path: '',
    })
    expect(refused(`[${'0,'.repeat(100)}0]`)).to.include({ fault: 'too large' })
    expect(refused(items(`"${'a'.repeat(49)}"`))).to.include({ fault: 'too large' })
    expect(refused(items('1'.repeat(51)))).to.include({ fault: 'too large' })
    expect(refused('['.repeat(201), { values: 1000 })).to.include({ fault: 'too deep' })
    const strings = Array<string>(9)
      .fill(`"${'a'.repeat(40_000)}"`)
      .join()
    expect(
      refused(items('0', `[${strings}]`), { characters: 50_000, elementCharacters: 150_000 }),
    ).to.include({
      fault: 'too large',
    })
    expect(
      readAll(items(`[${strings}]`), { limits: { ...limits, characters: 50_000 }, handOut: 'items' })
        .elements,
    ).to.have.length(1)
  })

  it('reads one document after another, whatever became of the one before', () => {
    const refused = ['', '[1', '{"a":1,"a":2}', '[[[', `"${'x'.repeat(70_000)}`, '{"items":[1,2']
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.oneof(value, fc.constantFrom(...refused)), fc.nat({ max: 5 })), {
          minLength: 1,
        }),
        (texts) => {
          const reader = makeJsonReader(Buffer.from('[{"a":["'), BODY_LIMITS, 'items')
          for (const [text, calls] of texts) {
            reader.restart(Buffer.from(text))
            expect([reader.spent(), reader.values()]).to.deep.equal([0, 0])
            const readOn = () => {
              while (reader.read(UNLIMITED) !== 'done');
              return reader.taken()
            }
            // Some are left before they end.
            for (let call = 0; call < calls && !refused.includes(text); call++)
              if (reader.read(1) === 'done') break
            if (calls > 0) continue
            if (refused.includes(text)) expect(readOn).to.throw(JsonError)
            else expect(readOn()).to.deep.equal(parseJson(text))
          }
        },
      ),
    )
  })

  it('does not go on for long beyond its budget', () => {
    for (const text of [
      '['.repeat(190) + ']'.repeat(190),
      `[${'{},'.repeat(60_000)}0]`,
      `[${'"a",'.repeat(60_000)}0]`,
    ]) {
      const reader = makeJsonReader(Buffer.from(text), BODY_LIMITS)
      for (let before = 0; reader.read(1000) === 'paused'; before = reader.spent())
        expect(reader.spent() - before).to.be.below(1000 + COST_OF_VALUE + 10)
    }
  })
})
