import { expect } from 'chai'
import { pduErrorClass, type PduErrorClass } from '../../src/observe/pdu-error-class.ts'

/** What servers write, and what limpet itself says of an entry. */
const TEXTS: [string, PduErrorClass][] = [
  ['Server is banned from room', 'forbidden'],
  ['Forbidden by ACL', 'forbidden'],
  ['event not allowed by the policy server', 'forbidden'],
  ['Signature on retrieved event $x was invalid', 'signature'],
  ['Unexpected content hash', 'signature'],
  ['Event $x failed auth check: you are not in the room', 'auth'],
  ['Could not authorise event', 'auth'],
  ['event too large', 'size'],
  ['Room is unknown to this server.', 'room'],
  ['Unsupported room version', 'room'],
  ['an entry that is no object', 'form'],
  ['an error that is not a text', 'form'],
  ['Malformed event', 'form'],
  ['', 'other'],
  ['no', 'other'],
]

describe('what an error for a PDU is about', () => {
  for (const [text, about] of TEXTS)
    it(`"${text}": ${about}`, () => expect(pduErrorClass(text)).to.equal(about))
})
