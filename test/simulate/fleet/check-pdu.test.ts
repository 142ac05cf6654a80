import { expect } from 'chai'
import { randomBytes } from 'node:crypto'
import type { JsonObject } from '../../../src/matrix/json-value.ts'
import { makePdu } from '../../../src/matrix/make-pdu.ts'
import type { PduParts } from '../../../src/matrix/make-pdu.ts'
import { generateKey } from '../../../src/matrix/signing.ts'
import { parseJson } from '../../../src/matrix/strict-json.ts'
import { checkPdu } from '../../../src/simulate/fleet/check-pdu.ts'

const { key } = generateKey((size) => randomBytes(size))
const origin = 'a.example'
const signer = { origin, verifyKey: (id: string) => (id === key.keyId ? key.publicKey : null) }
const parts: PduParts = {
  ...{ roomId: '!r:a.example', type: 'm.room.message', sender: '@u:a.example', originServerTs: 1 },
  content: { body: 'hello', msgtype: 'm.text' },
}

describe('a PDU, as a strict receiver looks at it', () => {
  // What 3 and 4 differ in is their ids alone, and nothing in the event says which it is.
  for (const version of ['1', '5', '6', '8', '10', '11', '12'])
    it(`of room version ${version} is right, and has its id`, () => {
      // Power levels keep most of what they are in a redaction, and not the same in each version.
      const content = { users: { '@u:a.example': 100 }, invite: 50, ban: 50 }
      for (const more of [{}, { type: 'm.room.power_levels', stateKey: '', content }]) {
        const { eventId, pdu } = makePdu({ ...parts, ...more }, key, version)
        expect(checkPdu(pdu, signer)).to.deep.equal({ eventId, fault: null })
      }
    })

  const { pdu } = makePdu(parts, key, '11')
  const wrong: Record<string, [JsonObject, RegExp]> = {
    'no type': [without('type'), /^no type$/],
    'no room': [without('room_id'), /^no room_id$/],
    'no depth': [without('depth'), /^depth is missing$/],
    'no auth_events': [without('auth_events'), /^auth_events is missing$/],
    'signed by nobody': [{ ...pdu, signatures: {} }, /^a\.example has not signed it with a known key$/],
    'signed with another key': [
      makePdu(parts, generateKey((size) => randomBytes(size)).key, '11').pdu,
      /^a\.example has not signed it with a known key$/,
    ],
    'another depth than was signed': [{ ...pdu, depth: 7 }, /^the signature of a\.example does not match$/],
    'another content than was hashed': [
      { ...pdu, content: { body: 'other' } },
      /^the content hash does not match$/,
    ],
    'too large': [
      makePdu({ ...parts, content: { body: 'x'.repeat(66_000) } }, key, '11').pdu,
      /^66\d+ bytes/,
    ],
  }
  for (const [what, [odd, fault]] of Object.entries(wrong))
    it(`${what} is wrong`, () => expect(checkPdu(odd, signer).fault).to.match(fault))

  it('in its redacted form is right: the hash is of what it was before', () => {
    const redacted = { ...pdu, content: {} }
    expect(checkPdu(redacted, signer).fault).to.equal(null)
    expect(checkPdu({ ...redacted, unsigned: { age_ts: 1 } }, signer).fault).to.equal(null)
    expect(checkPdu({ ...redacted, more: 1 }, signer).fault).to.equal('the content hash does not match')
  })

  it('of another server is not checked for a signature that nobody here can check', () => {
    const foreign = makePdu({ ...parts, sender: '@u:b.example' }, key, '11').pdu
    expect(checkPdu(foreign, signer).fault).to.equal(null)
  })

  it('with a number outside canonical JSON is read as it was written', () => {
    const text = makePdu({ ...parts, content: { n: 0 } }, key, '5').text.replace('"n":0', '"n":1e400')
    expect(checkPdu(parseJson(text) as JsonObject, signer).fault).to.equal('the content hash does not match')
  })

  function without(field: string): JsonObject {
    return Object.fromEntries(Object.entries(pdu).filter(([name]) => name !== field))
  }
})
