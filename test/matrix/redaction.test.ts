import { expect } from 'chai'
import fc from 'fast-check'
import type { JsonObject } from '../../src/matrix/json-value.ts'
import { redact } from '../../src/matrix/redaction.ts'
import { knownRoomVersions, roomVersion } from '../../src/matrix/room-versions.ts'
import { parseJson } from '../../src/matrix/strict-json.ts'

const BASE =
  'event_id type room_id sender state_key content hashes signatures depth prev_events auth_events origin_server_ts'
const POWER = 'ban events events_default kick redact state_default users users_default'

/** What the specification's pages of the room versions list, read again and written down another way. */
const table: [versions: string, topLevel: string, content: Record<string, string>][] = [
  [
    '1 2 3 4 5',
    `${BASE} prev_state origin membership`,
    {
      'm.room.member': 'membership',
      'm.room.create': 'creator',
      'm.room.join_rules': 'join_rule',
      'm.room.power_levels': POWER,
      'm.room.aliases': 'aliases',
      'm.room.history_visibility': 'history_visibility',
      'm.room.redaction': '',
      'm.room.message': '',
    },
  ],
  [
    '6 7',
    `${BASE} prev_state origin membership`,
    {
      'm.room.member': 'membership',
      'm.room.create': 'creator',
      'm.room.join_rules': 'join_rule',
      'm.room.power_levels': POWER,
      'm.room.aliases': '',
      'm.room.history_visibility': 'history_visibility',
      'm.room.redaction': '',
      'm.room.message': '',
    },
  ],
  [
    '8',
    `${BASE} prev_state origin membership`,
    {
      'm.room.member': 'membership',
      'm.room.create': 'creator',
      'm.room.join_rules': 'join_rule allow',
      'm.room.power_levels': POWER,
      'm.room.aliases': '',
      'm.room.history_visibility': 'history_visibility',
      'm.room.redaction': '',
    },
  ],
  [
    '9 10',
    `${BASE} prev_state origin membership`,
    {
      'm.room.member': 'membership join_authorised_via_users_server',
      'm.room.create': 'creator',
      'm.room.join_rules': 'join_rule allow',
      'm.room.power_levels': POWER,
      'm.room.aliases': '',
      'm.room.history_visibility': 'history_visibility',
      'm.room.redaction': '',
    },
  ],
  [
    '11 12',
    BASE,
    {
      'm.room.member': 'membership join_authorised_via_users_server third_party_invite',
      'm.room.create': 'creator other',
      'm.room.join_rules': 'join_rule allow',
      'm.room.power_levels': `${POWER} invite`,
      'm.room.aliases': '',
      'm.room.history_visibility': 'history_visibility',
      'm.room.redaction': 'redacts',
      'm.room.message': '',
    },
  ],
]
const everyTopLevel =
  `${BASE} prev_state origin membership redacts unsigned age_ts msc4354_sticky other`.split(' ')
const everyContent =
  `membership join_authorised_via_users_server creator join_rule allow ${POWER} invite notifications aliases history_visibility redacts body`.split(
    ' ',
  )

describe('redaction', () => {
  for (const [versions, topLevel, contents] of table) {
    for (const version of versions.split(' ')) {
      for (const [type, kept] of Object.entries(contents)) {
        it(`leaves ${kept === '' ? 'nothing' : kept} of ${type} in room version ${version}`, () => {
          // Of a create event version 11 keeps everything, so there it must not be given everything.
          const given = type === 'm.room.create' ? ['creator', 'other'] : everyContent
          const content: JsonObject = Object.fromEntries(given.map((key) => [key, key]))
          if (type === 'm.room.member')
            content['third_party_invite'] = { display_name: 'x', signed: { a: 1 } }
          const pdu: JsonObject = Object.fromEntries(everyTopLevel.map((key) => [key, key]))
          Object.assign(pdu, { type, content })
          const result = redact(pdu, roomVersion(version)!)
          expect(Object.keys(result).sort()).to.deep.equal(topLevel.split(' ').sort())
          const left = result['content'] as JsonObject
          expect(Object.keys(left).sort()).to.deep.equal(kept.split(' ').filter(Boolean).sort())
          if ('third_party_invite' in left)
            expect(left['third_party_invite']).to.deep.equal({ signed: { a: 1 } })
        })
      }
    }
  }

  it('leaves an empty third_party_invite where nothing in it was signed, and none where it is no object', () => {
    const of = (invite: string) =>
      redact(
        parseJson(`{"type":"m.room.member","content":{"third_party_invite":${invite}}}`) as JsonObject,
        roomVersion('11')!,
      )['content']
    expect(of('{"display_name":"x"}')).to.deep.equal({ third_party_invite: {} })
    expect(of('[]')).to.deep.equal({})
    expect(of('1.5')).to.deep.equal({})
  })

  it('changes nothing the second time, never touches the event, and stands any shape', () => {
    const key = fc.constantFrom(...everyTopLevel, '__proto__', 'constructor')
    const member = fc.dictionary(key, fc.jsonValue(), { noNullPrototype: true })
    fc.assert(
      fc.property(
        fc.constantFrom(...knownRoomVersions),
        member,
        fc.jsonValue(),
        (version, fields, content) => {
          const pdu = { ...fields, content } as JsonObject
          const before = JSON.stringify(pdu)
          const once = redact(pdu, version)
          expect(redact(once, version)).to.deep.equal(once)
          expect(JSON.stringify(pdu)).to.equal(before)
        },
      ),
    )
  })

  it('knows the room versions 1 to 12 and no others', () => {
    expect(knownRoomVersions.map(({ version }) => version).join()).to.equal('1,2,3,4,5,6,7,8,9,10,11,12')
    for (const unknown of ['0', '13', '01', 'org.matrix.msc3757.10', '__proto__', 'constructor', '']) {
      expect(roomVersion(unknown), unknown).to.equal(null)
    }
  })

  it('tolerates odd numbers up to version 5', () => {
    const keeping = knownRoomVersions.filter(({ oddNumbers }) => oddNumbers === 'keep')
    expect(keeping.map(({ version }) => version).join()).to.equal('1,2,3,4,5')
  })
})
