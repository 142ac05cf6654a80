import { expect } from 'chai'
import { oddNumberIn, readEdu } from '../../../src/simulate/fleet/edu-form.ts'

const ORIGIN = 'us.example'
const US = '@a:us.example'

const typing = { room_id: '!r:x', user_id: US, typing: true }
const receipt = { event_ids: ['$e'], data: { ts: 1, thread_id: 'main' } }
const receipts = (one: object, type = 'm.read', user = US) => ({
  '!r:x': { 'm.read': {}, [type]: { [user]: one } },
})
const online = { user_id: US, presence: 'online', last_active_ago: 0 }
const device = { user_id: US, device_id: 'D', stream_id: 2, prev_id: [1], deleted: false }
const message = { sender: US, type: 't', message_id: 'm', messages: { '@b:x': { D: { a: 1 } } } }

// A receiver that forgives is worth nothing: each rule is kept once and broken once.
describe('the form of an EDU', () => {
  const good: [string, object][] = [
    ['m.typing', typing],
    ['m.receipt', receipts(receipt)],
    ['m.receipt', receipts({ event_ids: ['$e'], data: { ts: 1 } })],
    ['m.presence', { push: Array.from({ length: 50 }, () => online) }],
    ['m.presence', { push: [{ ...online, status_msg: 'tea', currently_active: false }] }],
    ['m.device_list_update', device],
    ['m.device_list_update', { user_id: US, device_id: 'D', stream_id: 2 }],
    ['m.signing_key_update', { user_id: US, master_key: {}, self_signing_key: {} }],
    ['org.matrix.signing_key_update', { user_id: US }],
    ['m.direct_to_device', message],
    ['m.direct_to_device', { ...message, message_id: '😀'.repeat(32) }],
    ['org.example.own', { anything: [1] }],
    ['constructor', {}],
  ]
  for (const [type, content] of good) {
    it(`is right: ${type} ${JSON.stringify(content).slice(0, 60)}`, () => {
      expect(readEdu({ edu_type: type, content }, ORIGIN)).to.deep.equal({ type, content, fault: null })
    })
  }

  const bad: [string, object, string][] = [
    ['m.typing', { ...typing, room_id: undefined }, 'no room_id'],
    ['m.typing', { ...typing, user_id: '@a:other.example' }, 'the user is not of the origin'],
    ['m.typing', { ...typing, user_id: 'a:us.example' }, 'the user is not of the origin'],
    ['m.typing', { ...typing, user_id: '@a:x.us.example' }, 'the user is not of the origin'],
    ['m.typing', { ...typing, typing: 'yes' }, 'typing is no boolean'],
    ['m.receipt', { r: {} }, 'a key that is not a room id'],
    ['m.receipt', { '!r:x': { 'm.other': {} } }, 'a room without m.read'],
    ['m.receipt', receipts(receipt, 'm.read.private'), 'a private receipt'],
    ['m.receipt', receipts(receipt, 'm.read', '@a:other.example'), 'the user is not of the origin'],
    ['m.receipt', receipts({ ...receipt, event_ids: ['$e', '$f'] }), 'not exactly one event id'],
    ['m.receipt', receipts({ ...receipt, event_ids: [] }), 'not exactly one event id'],
    ['m.receipt', receipts({ ...receipt, event_ids: ['e'] }), 'an event id that is none'],
    ['m.receipt', receipts({ ...receipt, data: {} }), 'no ts'],
    [
      'm.receipt',
      receipts({ ...receipt, data: { ts: 1, thread_id: null } }),
      'a thread_id that is no string',
    ],
    ['m.presence', {}, 'push is no list'],
    ['m.presence', { push: Array.from({ length: 51 }, () => online) }, '51 users in push'],
    ['m.presence', { push: [{ ...online, user_id: '@a:x' }] }, 'the user is not of the origin'],
    ['m.presence', { push: [{ ...online, presence: 'busy' }] }, 'an unknown presence'],
    ['m.presence', { push: [{ ...online, last_active_ago: -1 }] }, 'last_active_ago is no time'],
    ['m.presence', { push: [{ ...online, last_active_ago: undefined }] }, 'last_active_ago is no time'],
    ['m.presence', { push: [{ ...online, status_msg: 1 }] }, 'status_msg is no string'],
    ['m.device_list_update', { ...device, user_id: '@a:x' }, 'the user is not of the origin'],
    ['m.device_list_update', { ...device, device_id: 1 }, 'no device_id'],
    ['m.device_list_update', { ...device, stream_id: '2' }, 'no stream_id'],
    ['m.device_list_update', { ...device, prev_id: ['1'] }, 'prev_id is not a list of integers'],
    ['m.device_list_update', { ...device, deleted: 1 }, 'deleted is no boolean'],
    ['m.device_list_update', { ...device, keys: null }, 'keys are no object'],
    ['m.signing_key_update', { user_id: '@a:x' }, 'the user is not of the origin'],
    ['org.matrix.signing_key_update', { user_id: US, master_key: 'k' }, 'master_key is no object'],
    ['m.direct_to_device', { ...message, sender: '@b:x' }, 'the user is not of the origin'],
    ['m.direct_to_device', { ...message, type: 1 }, 'no type'],
    ['m.direct_to_device', { ...message, message_id: undefined }, 'no message_id'],
    ['m.direct_to_device', { ...message, message_id: 'x'.repeat(33) }, 'a message_id of 33 code points'],
    ['m.direct_to_device', { ...message, messages: [] }, 'messages are no object'],
    [
      'm.direct_to_device',
      { ...message, messages: { '@b:x': { D: 1 } } },
      'messages are not by user and device',
    ],
  ]
  for (const [type, content, fault] of bad) {
    it(`is wrong: ${type}: ${fault} (${JSON.stringify(content).slice(0, 60)})`, () => {
      expect(readEdu({ edu_type: type, content }, ORIGIN).fault).to.equal(fault)
    })
  }

  it('is wrong without a type, without content, and where it is no object', () => {
    expect(readEdu({ content: {} }, ORIGIN).fault).to.equal('no edu_type')
    expect(readEdu({ edu_type: 'x', content: [] }, ORIGIN).fault).to.equal('no content')
    expect(readEdu('x', ORIGIN).fault).to.equal('not an object')
  })

  it('has only numbers that canonical JSON can have', () => {
    const body = (number: string) =>
      `{"edus":[{"content":{"a":[${number}]},"edu_type":"x"}],"pdus":[{"depth":1.5}]}`
    expect(oddNumberIn(body('9007199254740991'))).to.equal(null)
    for (const number of ['1.0', '1.5', '-0', '1e3', '9007199254740992'])
      expect(oddNumberIn(body(number)), number).to.match(/at 0\.content\.a\.0$/)
  })
})
