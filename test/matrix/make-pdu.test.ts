import { expect } from 'chai'
import { canonicalFromValue, canonicalize, canonicalText } from '../../src/matrix/canonical-json.ts'
import { checkEventId } from '../../src/matrix/event-id.ts'
import type { JsonObject } from '../../src/matrix/json-value.ts'
import { hashEvent, makePdu, signEvent, signJson } from '../../src/matrix/make-pdu.ts'
import { redact } from '../../src/matrix/redaction.ts'
import { knownRoomVersions, roomVersion } from '../../src/matrix/room-versions.ts'
import { readSigningKey, verify } from '../../src/matrix/signing.ts'
import { specVectors as spec } from './fixtures.ts'

const key = readSigningKey(`ed25519 ${spec.keyVersion} ${spec.seed}`)

describe('events made for tests and the simulator', () => {
  for (const [index, [object, signed]] of spec.signedJson.entries()) {
    it(`signs the specification's JSON example ${index + 1}`, () => {
      expect(signJson(object as JsonObject, key, spec.serverName)).to.deep.equal(signed)
    })
  }
  for (const [index, [event, signed]] of spec.signedEvents.entries()) {
    it(`hashes and signs the specification's event example ${index + 1}`, () => {
      expect(signEvent(event as JsonObject, key, spec.serverName, roomVersion('1')!)).to.deep.equal(signed)
    })
  }

  it('adds a signature to those that are there', () => {
    const once = signJson({ a: 1, unsigned: { b: 1 } }, key, 'one')
    const twice = signJson(once, key, 'two')
    const again = signJson(twice, readSigningKey(`ed25519 2 ${spec.seed}`), 'two')
    expect(again['signatures']).to.have.all.keys('one', 'two')
    expect(again).to.have.nested.property('signatures.two').that.has.all.keys('ed25519:1', 'ed25519:2')
    expect(again['unsigned']).to.deep.equal({ b: 1 })
  })

  for (const version of knownRoomVersions) {
    it(`makes an event of room version ${version.version} that its receivers take`, () => {
      const { eventId, pdu, text } = makePdu(
        {
          roomId: '!r:domain',
          type: 'm.room.message',
          sender: '@u:domain',
          originServerTs: 1_700_000_000_000,
          content: { msgtype: 'm.text', body: 'Hi 😀' },
          depth: 3,
          prevEvents: ['$prev'],
          authEvents: ['$auth'],
          more: { msc4354_sticky: { duration_ms: 60_000 } },
        },
        key,
        version.version,
      )
      expect(checkEventId({ pdu, roomVersion: version.version, eventId }).kind).to.equal('ok')
      expect(pdu['hashes']).to.deep.equal({ sha256: hashEvent(pdu) })
      expect(canonicalize(text)).to.equal(text)
      expect(pdu['prev_events']).to.deep.equal(version.eventId === 'inside' ? [['$prev', {}]] : ['$prev'])
      const { signatures, ...covered } = redact(pdu, version)
      const signature = (signatures as { domain: { 'ed25519:1': string } }).domain['ed25519:1']
      expect(verify(key.publicKey, canonicalText(covered), signature)).to.equal(true)
      expect(Buffer.byteLength(text)).to.equal(Buffer.byteLength(canonicalFromValue(pdu)))
    })
  }

  it('makes a create event of version 12 without a room id', () => {
    const parts = {
      roomId: '!r:domain',
      type: 'm.room.create',
      sender: '@u:domain',
      stateKey: '',
      originServerTs: 1,
    }
    expect(makePdu(parts, key, '12').pdu).not.to.have.property('room_id')
    expect(makePdu(parts, key, '11').pdu).to.have.property('room_id', '!r:domain')
  })

  it('refuses a room version that it does not know', () => {
    const parts = { roomId: '!r:domain', type: 'x', sender: '@u:domain', originServerTs: 1 }
    expect(() => makePdu(parts, key, '99')).to.throw(RangeError)
  })
})
