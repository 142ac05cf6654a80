import { expect } from 'chai'
import { lengthOf } from '../../../src/cli/admin/letters.ts'
import {
  linesOfContact,
  linesOfRequest,
  objectsOfRequest,
  wordsOfContact,
} from '../../../src/cli/receive/arrivals.ts'
import { plainScreen } from '../../../src/cli/screen.ts'
import type { LookedAtRequest } from '../../../src/simulate/fleet/receiver.ts'
import { readEdu } from '../../../src/simulate/fleet/edu-form.ts'
import { partsOf } from '../../../src/simulate/fleet/edu-parts.ts'

const AT = Date.UTC(2026, 0, 2, 3, 4, 5)
const told = { origin: 'a.example', stickyFields: ['msc4354_sticky'] }
const edu = (edu_type: string, content: object) => {
  const one = readEdu({ edu_type, content }, 'a.example')
  return { ...one, parts: partsOf(one) }
}
const room = '!aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:a.example'
const eventId = `$${'e'.repeat(43)}`
const pdu = {
  type: 'm.call.member',
  room_id: room,
  sender: '@u:a.example',
  msc4354_sticky: { duration_ms: 300_000 },
}
const user = '@u:a.example'
const receipt = { 'm.read': { [user]: { event_ids: ['$x'], data: { ts: 1, thread_id: 'main' } } } }
const request: LookedAtRequest = {
  ...{ txnId: 'aBcD', at: AT, repeated: false, status: 200, objections: [] },
  pdus: [{ eventId, pdu, fault: null }],
  edus: [
    edu('m.typing', { room_id: '!r:a.example', user_id: user, typing: true }),
    edu('m.receipt', { '!r:a.example': receipt }),
    edu('m.presence', {
      push: ['a', 'b', 'c', 'd', 'e'].map((one) => ({
        user_id: `@${one}:a.example`,
        presence: 'online',
        last_active_ago: 1,
      })),
    }),
    edu('m.direct_to_device', {
      sender: user,
      type: 'm.room.encrypted',
      message_id: 'm1',
      messages: { '@v:b.example': { D: {} } },
    }),
    edu('m.device_list_update', { user_id: user, device_id: 'DEV', stream_id: 5, deleted: true }),
    edu('m.signing_key_update', { user_id: user }),
    edu('org.example.odd', { a: 1 }),
  ],
}

describe('what limpet receive says of what comes', () => {
  const lines = (more: object = {}, width = Infinity) =>
    linesOfRequest({ ...request, ...more }, told, plainScreen(width))

  it('is a line for the transaction and for each PDU and EDU', () => {
    expect(lines()).to.deep.equal([
      '03:04:05 transaction aBcD from a.example: 1 PDU, 7 EDUs, new',
      `         PDU ${eventId}: m.call.member in ${room} by @u:a.example, sticky for 5m`,
      '         EDU m.typing: @u:a.example types in !r:a.example',
      '         EDU m.receipt: @u:a.example has read $x in !r:a.example, thread main',
      '         EDU m.presence: @a:a.example is online; @b:a.example is online; @c:a.example is online; and 2 more',
      '         EDU m.direct_to_device: m.room.encrypted of @u:a.example for @v:b.example, id m1',
      '         EDU m.device_list_update: device DEV of @u:a.example deleted, stream id 5',
      '         EDU m.signing_key_update: signing keys of @u:a.example',
      '         EDU org.example.odd',
    ])
  })

  it('fits 80 columns with whole ids', () => {
    for (const line of lines({}, 80)) expect(lengthOf(line), line).to.be.at.most(80)
    for (const id of [eventId, room]) expect(lines({}, 80).join('\n')).to.include(id)
  })

  it('is one line where it is repeated, and what it objects to where it does', () => {
    expect(lines({ repeated: true })).to.deep.equal([
      '03:04:05 transaction aBcD from a.example: 1 PDU, 7 EDUs, repeated: answered as before',
    ])
    const refused = {
      status: 401,
      pdus: [],
      edus: [],
      objections: ['refused with 401: unknown key ed25519:x'],
    }
    expect(lines(refused)).to.deep.equal([
      '03:04:05 transaction aBcD refused with 401',
      '         objection: refused with 401: unknown key ed25519:x',
    ])
  })

  it('never moves the cursor of a terminal', () => {
    const evil = { type: 'a\u001b[2J', room_id: '!r\u202e', sender: '@u' }
    const [, line = ''] = lines({ pdus: [{ eventId: '$e\u0007', pdu: evil, fault: null }], edus: [] })
    expect(line).to.equal('         PDU $e\ufffd: a\ufffd[2J in !r\ufffd by @u')
  })

  it('as JSON is an object for each', () => {
    const objects = objectsOfRequest({ ...request, objections: ['odd'] }, told) as Record<string, unknown>[]
    expect(objects.map(({ kind }) => kind)).to.deep.equal([
      'transaction',
      'pdu',
      ...request.edus.map(() => 'edu'),
      'objection',
    ])
    expect(objects[0]).to.deep.equal({
      ...{ kind: 'transaction', txn_id: 'aBcD', at: AT, origin: 'a.example', status: 200 },
      ...{ repeated: false, pdus: 1, edus: 7 },
    })
    expect(objects[1]).to.deep.equal({
      ...{ kind: 'pdu', txn_id: 'aBcD', event_id: eventId, type: 'm.call.member', room_id: room },
      ...{ sender: '@u:a.example', sticky_ms: 300_000, error: null },
    })
    expect(objects[2]).to.include({ edu_type: 'm.typing', error: null })
  })

  it('says what else came to it', () => {
    const said = (contact: Parameters<typeof wordsOfContact>[0]) =>
      linesOfContact(wordsOfContact(contact), AT, plainScreen(80)).join('\n')
    expect(said({ kind: 'no request' })).to.match(/^03:04:05 a connection was closed before any request came/)
    expect(said({ kind: 'not here', method: 'GET', path: '/x' })).to.match(
      /^03:04:05 GET \/x: answered with 404/,
    )
    expect(said({ kind: 'cut off', txnId: 't' })).to.match(/ transaction t broke off before it was whole/)
    expect(said({ kind: 'no handshake', error: new Error('bad') })).to.match(
      / a TLS handshake failed \(bad\)$/,
    )
  })
})
