import { expect } from 'chai'
import type { JsonObject } from '../../src/matrix/json-value.ts'
import { isOurs, stickyDuration, stickyUntil } from '../../src/matrix/sticky.ts'
import { parseJson } from '../../src/matrix/strict-json.ts'

const fieldNames = ['msc4354_sticky', 'sticky']
const until = (fields: string, receivedTs = 1000) =>
  stickyUntil({
    pdu: parseJson(`{"origin_server_ts":900,${fields}}`) as JsonObject,
    fieldNames,
    receivedTs,
    maxDurationMs: 3_600_000,
  })

describe('sticky events', () => {
  for (const [fields, expected] of [
    ['"msc4354_sticky":{"duration_ms":50}', 950],
    ['"sticky":{"duration_ms":50,"more":true}', 950],
    ['"sticky":{"duration_ms":1}', 901],
    ['"msc4354_sticky":{"duration_ms":5},"sticky":{"duration_ms":50}', 905],
    ['"msc4354_sticky":{"duration_ms":0},"sticky":{"duration_ms":50}', 950],
    ['"sticky":{"duration_ms":3600000}', 3_600_900],
    ['"sticky":{"duration_ms":3600001}', 3_600_900],
    ['"sticky":{"duration_ms":9007199254740991}', 3_600_900],
    ['"sticky":{"duration_ms":0}', null],
    ['"sticky":{"duration_ms":-1}', null],
    ['"sticky":{"duration_ms":1.5}', null],
    ['"sticky":{"duration_ms":1e3}', null],
    ['"sticky":{"duration_ms":90071992547409920}', null],
    ['"sticky":{"duration_ms":"50"}', null],
    ['"sticky":{"duration_ms":true}', null],
    ['"sticky":{}', null],
    ['"sticky":[{"duration_ms":50}]', null],
    ['"sticky":50', null],
    ['"sticky":null', null],
    ['"content":{"sticky":{"duration_ms":50}}', null],
    ['"org.example.sticky":{"duration_ms":50}', null],
  ] as const) {
    it(`with ${fields} is sticky until ${expected ?? 'never'}`, () => {
      expect(until(fields)).to.equal(expected)
    })
  }

  it('counts from when it was received where it says it was sent later', () => {
    expect(until('"sticky":{"duration_ms":50}', 800)).to.equal(850)
  })

  it('may be over at once, where it was sent long ago', () => {
    expect(until('"sticky":{"duration_ms":50}', 1_000_000)).to.equal(950)
  })

  it('without a sane origin_server_ts is an ordinary event', () => {
    for (const ts of ['"900"', '1e3', 'null']) {
      const pdu = parseJson(`{"origin_server_ts":${ts},"sticky":{"duration_ms":50}}`) as JsonObject
      expect(stickyUntil({ pdu, fieldNames, receivedTs: 1, maxDurationMs: 1 })).to.equal(null)
    }
  })

  it('finds no field in what objects inherit', () => {
    expect(stickyDuration({}, ['constructor', '__proto__'])).to.equal(null)
  })

  it('are ours where the sender is one of our users', () => {
    expect(isOurs('@a:b.c:8448', 'b.c:8448')).to.equal(true)
    expect(isOurs('@a:b.c', 'B.c')).to.equal(false)
    expect(isOurs('b.c', 'b.c')).to.equal(false)
  })
})
