import { expect } from 'chai'
import { canonicalFromValue } from '../../src/matrix/canonical-json.ts'
import { assembleTransaction, MAX_EDUS, MAX_PDUS } from '../../src/matrix/transaction.ts'

describe('a transaction', () => {
  const head = { origin: 'a.example', originServerTs: 1_700_000_000_000 }
  const pdu = { type: 'm.room.message', content: { body: '😀' } }
  const pduTexts = [canonicalFromValue(pdu), '{"a":1.50}']

  it('is canonical JSON, without EDUs where there are none', () => {
    expect(assembleTransaction({ ...head, pduTexts: [] })).to.equal(
      '{"origin":"a.example","origin_server_ts":1700000000000,"pdus":[]}',
    )
    const expected = canonicalFromValue({
      origin: head.origin,
      origin_server_ts: head.originServerTs,
      pdus: [pdu],
      edus: [pdu],
    })
    const text = assembleTransaction({
      ...head,
      pduTexts: pduTexts.slice(0, 1),
      eduTexts: pduTexts.slice(0, 1),
    })
    expect(text).to.equal(expected)
  })

  it('holds the texts of its PDUs byte for byte', () => {
    expect(assembleTransaction({ ...head, pduTexts })).to.include(`"pdus":[${pduTexts.join(',')}]`)
  })

  it('takes 50 PDUs and 100 EDUs and not one more', () => {
    const many = (n: number) => Array.from({ length: n }, () => '{}')
    const full = assembleTransaction({ ...head, pduTexts: many(MAX_PDUS), eduTexts: many(MAX_EDUS) })
    const body = JSON.parse(full) as { pdus: unknown[]; edus: unknown[] }
    expect([body.pdus.length, body.edus.length]).to.deep.equal([50, 100])
    expect(() => assembleTransaction({ ...head, pduTexts: many(51) })).to.throw(RangeError)
    expect(() => assembleTransaction({ ...head, pduTexts: [], eduTexts: many(101) })).to.throw(RangeError)
    expect(() => assembleTransaction({ origin: 'a', originServerTs: 1.5, pduTexts: [] })).to.throw(RangeError)
  })
})
