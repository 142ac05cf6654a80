import { expect } from 'chai'
import { canonicalize } from '../../src/matrix/canonical-json.ts'
import { belongsToRoom, checkEventId, referenceHash } from '../../src/matrix/event-id.ts'
import type { JsonObject } from '../../src/matrix/json-value.ts'
import { hashEvent } from '../../src/matrix/make-pdu.ts'
import { knownRoomVersions, roomVersion } from '../../src/matrix/room-versions.ts'
import { parseJson } from '../../src/matrix/strict-json.ts'
import { randomEvents, referenceHashVectors } from './fixtures.ts'

describe('event ids', () => {
  const { events, referenceHashes, roomIdInVersion12 } = referenceHashVectors
  for (const rules of knownRoomVersions) {
    it(`hashes an event of each type as Synapse does in room version ${rules.version}`, () => {
      const types = Object.entries(referenceHashes[rules.version]!)
      expect(types).to.have.length(9)
      for (const [type, expected] of types) {
        const pdu = { ...events[type]! }
        if (rules.eventId !== 'inside') delete pdu['event_id']
        if (rules.roomId === 'create event') pdu['room_id'] = roomIdInVersion12
        if (rules.roomId === 'create event' && type === 'm.room.create') delete pdu['room_id']
        expect(referenceHash(pdu, rules).toString('base64'), type).to.equal(`${expected}=`)
      }
    })
  }

  it('gives random events, odd numbers included, the text, id and hash that Synapse gives them', () => {
    for (const { roomVersion: version, text, canonical, eventId, contentHash } of randomEvents) {
      const pdu = parseJson(text) as JsonObject
      const { oddNumbers } = roomVersion(version)!
      expect(canonicalize(text, { oddNumbers })).to.equal(canonical)
      expect(checkEventId({ pdu, roomVersion: version, eventId }), text).to.deep.equal({ kind: 'ok' })
      expect(checkEventId({ pdu: canonical, roomVersion: version, eventId })).to.deep.equal({ kind: 'ok' })
      expect(hashEvent(pdu)).to.equal(contentHash)
    }
  })

  const pdu = events['m.room.message']!
  it('says which id the event has where the given one is wrong', () => {
    const check = (version: string) => checkEventId({ pdu, roomVersion: version, eventId: '$wrong' })
    const base64 = referenceHash(pdu, roomVersion('3')!).toString('base64').replace('=', '')
    expect(base64).to.match(/[+/]/)
    expect(check('1')).to.deep.equal({ kind: 'mismatch', expected: '$chosen:example.org' })
    expect(check('3')).to.deep.equal({ kind: 'mismatch', expected: `$${base64}` })
    expect(check('5')).to.deep.equal({
      kind: 'mismatch',
      expected: `$${base64.replaceAll('+', '-').replaceAll('/', '_')}`,
    })
  })

  it('says that versions 1 and 2 want the id inside', () => {
    const without = { ...pdu, event_id: 1 }
    expect(checkEventId({ pdu: without, roomVersion: '2', eventId: '$a' })).to.deep.equal({
      kind: 'mismatch',
      expected: null,
    })
    expect(checkEventId({ pdu: '[]', roomVersion: '10', eventId: '$a' }).kind).to.equal('mismatch')
  })

  it('takes the id as given in a room version that it does not know', () => {
    expect(checkEventId({ pdu, roomVersion: 'org.example.1', eventId: '$any' })).to.deep.equal({
      kind: 'unknown version',
    })
  })

  it('covers what a redaction leaves and nothing else', () => {
    const rules = roomVersion('10')!
    const hash = referenceHash(pdu, rules).toString('hex')
    const changed = (fields: JsonObject) => referenceHash({ ...pdu, ...fields }, rules).toString('hex')
    expect(changed({ content: {}, unsigned: {}, signatures: {}, msc4354_sticky: 1 })).to.equal(hash)
    expect(changed({ hashes: { sha256: 'x' } })).not.to.equal(hash)
    expect(changed({ depth: 8 })).not.to.equal(hash)
  })

  it('knows the room of an event, also of the create event of version 12, which does not name it', () => {
    const create: JsonObject = { type: 'm.room.create', state_key: '', content: {} }
    const ask = (event: JsonObject, version: string, roomId: string) =>
      belongsToRoom({ pdu: event, roomVersion: version, eventId: '$hash', roomId })
    expect(ask({ room_id: '!a:b' }, '1', '!a:b')).to.equal(true)
    expect(ask({ room_id: '!a:b' }, 'unknown', '!a:c')).to.equal(false)
    expect(ask(create, '12', '!hash')).to.equal(true)
    expect(ask(create, '12', '!other')).to.equal(false)
    expect(ask(create, '11', '!hash')).to.equal(false)
    expect(ask({ ...create, type: 'm.room.topic' }, '12', '!hash')).to.equal(false)
    expect(ask({ ...create, state_key: 'x' }, '12', '!hash')).to.equal(false)
  })
})
