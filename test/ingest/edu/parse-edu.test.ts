import { expect } from 'chai'
import { parseEdu } from '../../../src/ingest/edu/parse-edu.ts'
import { ItemError } from '../../../src/ingest/item-error.ts'
import { setMember } from '../../../src/matrix/json-value.ts'
import { ALICE, BOB, OTHER, receiptItem, receiptOf, ROOM, takenEdu, toDeviceContent } from './edu-item.ts'

const HOUR = 3_600_000

describe('an edu item', () => {
  const plain = { edu_type: 'org.example.x', content: { b: 1, a: 'é' }, destinations: ['b.example'] }
  const typing = (isTyping: unknown, also: object = {}) => ({
    edu_type: 'm.typing',
    content: { room_id: ROOM, user_id: ALICE, typing: isTyping },
    rooms: [ROOM],
    ...also,
  })
  const presence = (...push: unknown[]) => ({ edu_type: 'm.presence', content: { push }, rooms: [ROOM] })
  const deviceList = { user_id: ALICE, device_id: 'D', stream_id: 7, prev_id: [6], keys: { __proto: 1 } }

  it('of an unknown type is passed on as it is, canonical, for an hour', () => {
    expect(takenEdu(plain)).to.deep.equal({
      type: 'edu',
      eduType: 'org.example.x',
      audience: { destinations: ['b.example'] },
      parts: [{ content: '{"a":"é","b":1}', key: null, durable: false, ttlMs: HOUR, alone: false }],
      ignored: [],
    })
  })

  it('takes key, ttl_ms and durable from its producer', () => {
    const [part] = takenEdu({ ...plain, key: 'k', ttl_ms: 5, durable: true }).parts
    expect(part).to.include({ key: 'k', ttlMs: 5, durable: true })
    expect(takenEdu({ ...plain, durable: true }).parts[0]).to.include({ durable: true, ttlMs: null })
    const message = {
      edu_type: 'm.direct_to_device',
      content: toDeviceContent('1'),
      destinations: ['b.example'],
    }
    expect(takenEdu({ ...message, durable: false }).parts[0]).to.include({ durable: false, ttlMs: HOUR })
  })

  it('names each room or server once; none of them is allowed', () => {
    expect(takenEdu({ ...plain, destinations: ['b', 'a', 'b'] }).audience).to.deep.equal({
      destinations: ['b', 'a'],
    })
    const inRooms = { edu_type: 'm.x', content: {}, rooms: [ROOM, OTHER, ROOM] }
    expect(takenEdu(inRooms).audience).to.deep.equal({ rooms: [ROOM, OTHER] })
    expect(takenEdu({ ...inRooms, rooms: [] }).audience).to.deep.equal({ rooms: [] })
  })

  describe('is refused with the place', () => {
    const untyped = { ...plain, edu_type: undefined }
    const empty = { ...plain, content: undefined }
    const toNobody = { ...plain, destinations: undefined }
    const onlyAlice = { [ROOM]: { 'm.read': { [ALICE]: receiptOf('$a') } } }
    const wrong: readonly [what: string, item: object, path: string][] = [
      ['without a type', untyped, 'edu_type'],
      ['with an empty type', { ...plain, edu_type: '' }, 'edu_type'],
      ['with a type that can not be stored', { ...plain, edu_type: 'a\0' }, 'edu_type'],
      ['with a type that is too long', { ...plain, edu_type: 'é'.repeat(128) }, 'edu_type'],
      ['without content', empty, 'content'],
      ['with content that is no object', { ...plain, content: [] }, 'content'],
      ['with content that is a number', { ...plain, content: '#1.5#' }, 'content'],
      ['to nobody', toNobody, 'rooms'],
      ['to rooms and servers', { ...plain, rooms: [ROOM] }, 'rooms'],
      ['to a room that is no list', { ...toNobody, rooms: ROOM }, 'rooms'],
      ['to no room at all', { ...toNobody, rooms: null }, 'rooms'],
      ['to what is no room', { ...toNobody, rooms: [ROOM, '#alias:a'] }, 'rooms.1'],
      ['to a server that is no text', { ...plain, destinations: ['a', 5] }, 'destinations.1'],
      ['with a key that is no text', { ...plain, key: 5 }, 'key'],
      ['with an empty key', { ...plain, key: '' }, 'key'],
      ['with a key that is too long', { ...plain, key: 'k'.repeat(256) }, 'key'],
      ['with a time that is no number', { ...plain, ttl_ms: '5' }, 'ttl_ms'],
      ['with half a millisecond', { ...plain, ttl_ms: '#1.5#' }, 'ttl_ms'],
      ['without any time', { ...plain, ttl_ms: 0 }, 'ttl_ms'],
      ['for longer than a year', { ...plain, ttl_ms: 31_536_000_001 }, 'ttl_ms'],
      ['with an odd wish to last', { ...plain, durable: 'yes' }, 'durable'],
      ['with a key for typing', typing(true, { key: 'k' }), 'key'],
      ['with a key for receipts', receiptItem(onlyAlice, { key: 'k' }), 'key'],
      ['with a key for presence', { ...presence(), key: 'k' }, 'key'],
      ['typing in another room', typing(true, { rooms: [OTHER] }), 'rooms'],
      ['typing in one of its rooms', typing(true, { rooms: [ROOM, OTHER] }), 'rooms'],
      ['typing to servers', typing(true, { rooms: undefined, destinations: ['b.example'] }), 'destinations'],
      [
        'typing nowhere',
        { edu_type: 'm.typing', content: { user_id: ALICE }, rooms: [ROOM] },
        'content.room_id',
      ],
      ['a receipt of another room', receiptItem(onlyAlice, { rooms: [OTHER] }), 'rooms'],
      ['a receipt of one of its rooms', receiptItem(onlyAlice, { rooms: [OTHER, ROOM] }), 'rooms'],
      [
        'receipts of two rooms',
        receiptItem({ ...onlyAlice, [OTHER]: {} }, { rooms: [ROOM, OTHER] }),
        'content',
      ],
      ['receipts of no room', receiptItem({}), 'content'],
      [
        'a receipt to servers',
        receiptItem(onlyAlice, { rooms: undefined, destinations: [] }),
        'destinations',
      ],
    ]
    for (const [what, item, path] of wrong) {
      it(what, () => {
        expect(() => takenEdu(item))
          .to.throw(ItemError)
          .that.includes({ path, errcode: 'M_INVALID_PARAM' })
      })
    }
  })

  it('of receipts is cut into one for each receipt type, user and thread', () => {
    const { parts, ignored } = takenEdu(
      receiptItem({
        [ROOM]: {
          'm.read': { [ALICE]: receiptOf('$a', 'main'), [BOB]: receiptOf('$b') },
          'org.example.seen': { [ALICE]: receiptOf('$c') },
        },
      }),
    )
    expect(ignored).to.deep.equal([])
    expect(parts.map(({ key }) => key)).to.deep.equal([
      JSON.stringify([ROOM, 'm.read', ALICE, 'main']),
      JSON.stringify([ROOM, 'm.read', BOB, null]),
      JSON.stringify([ROOM, 'org.example.seen', ALICE, null]),
    ])
    expect(parts[1]).to.deep.equal({
      content: `{"${ROOM}":{"m.read":{"${BOB}":{"data":{"ts":1},"event_ids":["$b"]}}}}`,
      key: JSON.stringify([ROOM, 'm.read', BOB, null]),
      durable: false,
      ttlMs: 24 * HOUR,
      alone: false,
    })
  })

  it('never lets a private receipt out', () => {
    const users = { [ALICE]: receiptOf('$a') }
    const { parts, ignored } = takenEdu(
      receiptItem({
        [ROOM]: {
          'm.read.private': users,
          'org.matrix.msc2285.read.private': { [BOB]: 'anything' },
          'm.read': users,
        },
      }),
    )
    expect(parts).to.have.lengthOf(1)
    expect(parts[0]?.content).to.include('"m.read":')
    expect(ignored).to.deep.equal([
      { value: `m.receipt ${ALICE}`, why: 'private' },
      { value: `m.receipt ${BOB}`, why: 'private' },
    ])
  })

  it('of presence is cut into one for each user, for ten minutes', () => {
    const { parts } = takenEdu(
      presence(
        { user_id: ALICE, presence: 'online', last_active_ago: 5, 'org.example.mood': { a: [] } },
        { user_id: BOB, presence: 'offline' },
      ),
    )
    expect(parts).to.deep.equal([
      {
        content: `{"push":[{"last_active_ago":5,"org.example.mood":{"a":[]},"presence":"online","user_id":"${ALICE}"}]}`,
        ...{ key: JSON.stringify([ALICE]), durable: false, ttlMs: 600_000, alone: false },
      },
      {
        content: `{"push":[{"presence":"offline","user_id":"${BOB}"}]}`,
        ...{ key: JSON.stringify([BOB]), durable: false, ttlMs: 600_000, alone: false },
      },
    ])
  })

  it('of typing lasts a minute; that someone has stopped two, under the key of room and user', () => {
    expect(takenEdu(typing(true)).parts[0]).to.include({ ttlMs: 60_000, key: JSON.stringify([ROOM, ALICE]) })
    expect(takenEdu(typing(false)).parts[0]).to.include({
      ...{ ttlMs: 120_000, key: JSON.stringify([ROOM, ALICE]), durable: false },
    })
    expect(takenEdu(typing(false, { ttl_ms: 5 })).parts[0]).to.include({ ttlMs: 5 })
  })

  it('of messages to devices, device lists and cross-signing keys is durable, in one piece, without a key', () => {
    for (const [eduType, content, more] of [
      ['m.direct_to_device', toDeviceContent('💥'.repeat(32)), { messageId: '💥'.repeat(32) }],
      ['m.device_list_update', deviceList, { deviceListOf: ALICE }],
      ['m.signing_key_update', { user_id: ALICE, master_key: {} }, {}],
      ['org.matrix.signing_key_update', { user_id: ALICE }, {}],
    ] as const) {
      const { parts, ignored } = takenEdu({ edu_type: eduType, content, destinations: ['b.example'] })
      expect(ignored, eduType).to.deep.equal([])
      expect(parts).to.have.lengthOf(1)
      expect(parts[0]).to.deep.include({ key: null, durable: true, ttlMs: null, alone: false, ...more })
      expect(JSON.parse(parts[0]?.content ?? '')).to.deep.equal(content)
    }
  })

  describe('is taken without what', () => {
    const inRoom = (users: object) => receiptItem({ [ROOM]: { 'm.read': users } })
    const device = (content: object) => ({ edu_type: 'm.device_list_update', content, rooms: [ROOM] })
    const message = (change: object) => ({
      ...{
        edu_type: 'm.direct_to_device',
        destinations: ['b'],
        content: { ...toDeviceContent('id'), ...change },
      },
    })
    const good = receiptOf('$b')
    const cases: readonly [what: string, item: object, value: string, why: string][] = [
      [
        'holds a float',
        inRoom({ [ALICE]: { ...receiptOf('$a'), x: '#1.5#' } }),
        `m.receipt ${ALICE}`,
        'not_canonical',
      ],
      [
        'holds a huge integer',
        { ...plain, content: { a: '#9007199254740992#' } },
        'org.example.x',
        'not_canonical',
      ],
      ['holds minus nothing', { ...plain, content: { a: '#-0#' } }, 'org.example.x', 'not_canonical'],
      ['is nested too deeply', { ...plain, content: nested(100) }, 'org.example.x', 'not_canonical'],
      [
        'has an odd age',
        presence({ user_id: ALICE, presence: 'online', last_active_ago: '#1.5#' }),
        `m.presence ${ALICE}`,
        'not_canonical',
      ],
      [
        'has an odd time',
        inRoom({ [ALICE]: { data: { ts: '#1e3#' }, event_ids: ['$a'] } }),
        `m.receipt ${ALICE}`,
        'not_canonical',
      ],
      [
        'is over 1 MiB',
        message({ x: ['a', 'b', 'c'].map((a) => a.repeat(400_000)) }),
        'm.direct_to_device id',
        'too_large',
      ],
      [
        'has no events',
        inRoom({ [ALICE]: { data: { ts: 1 }, event_ids: [] } }),
        `m.receipt ${ALICE}`,
        'malformed',
      ],
      ['has no list of events', inRoom({ [ALICE]: { data: { ts: 1 } } }), `m.receipt ${ALICE}`, 'malformed'],
      [
        'has events that are none',
        inRoom({ [ALICE]: { data: { ts: 1 }, event_ids: ['a'] } }),
        `m.receipt ${ALICE}`,
        'malformed',
      ],
      [
        'has no time',
        inRoom({ [ALICE]: { data: {}, event_ids: ['$a'] } }),
        `m.receipt ${ALICE}`,
        'malformed',
      ],
      ['has no data', inRoom({ [ALICE]: { event_ids: ['$a'] } }), `m.receipt ${ALICE}`, 'malformed'],
      [
        'has a time before time',
        inRoom({ [ALICE]: { data: { ts: -1 }, event_ids: ['$a'] } }),
        `m.receipt ${ALICE}`,
        'malformed',
      ],
      [
        'has a list for a time',
        inRoom({ [ALICE]: { data: { ts: [] }, event_ids: ['$a'] } }),
        `m.receipt ${ALICE}`,
        'malformed',
      ],
      [
        'has an odd thread',
        inRoom({ [ALICE]: { data: { ts: 1, thread_id: null }, event_ids: ['$a'] } }),
        `m.receipt ${ALICE}`,
        'malformed',
      ],
      [
        'has a long thread',
        inRoom({ [ALICE]: receiptOf('$a', 't'.repeat(256)) }),
        `m.receipt ${ALICE}`,
        'malformed',
      ],
      ['is of no user', inRoom({ alice: good }), 'm.receipt alice', 'malformed'],
      ['is no receipt', inRoom({ [ALICE]: null }), `m.receipt ${ALICE}`, 'malformed'],
      ['is no receipts', receiptItem({ [ROOM]: { 'm.read': [] } }), 'm.receipt', 'malformed'],
      ['is no receipt types', receiptItem({ [ROOM]: 5 }), 'm.receipt', 'malformed'],
      ['is no presence', { ...presence(), content: {} }, 'm.presence', 'malformed'],
      ['is presence of nobody', presence({ presence: 'online' }), 'm.presence', 'malformed'],
      ['is a user without presence', presence({ user_id: ALICE }), `m.presence ${ALICE}`, 'malformed'],
      [
        'will be active',
        presence({ user_id: ALICE, presence: 'online', last_active_ago: -1 }),
        `m.presence ${ALICE}`,
        'malformed',
      ],
      [
        'says when in words',
        presence({ user_id: ALICE, presence: 'online', last_active_ago: 'now' }),
        `m.presence ${ALICE}`,
        'malformed',
      ],
      ['is perhaps typing', typing('perhaps'), `m.typing ${ALICE}`, 'malformed'],
      [
        'has too long an id',
        message({ message_id: 'é'.repeat(33) }),
        `m.direct_to_device ${'é'.repeat(33)}`,
        'malformed',
      ],
      [
        'has an id that can not be stored',
        message({ message_id: 'a\0' }),
        'm.direct_to_device a\0',
        'malformed',
      ],
      ['has an empty id', message({ message_id: '' }), 'm.direct_to_device', 'malformed'],
      ['has no id', message({ message_id: undefined }), `m.direct_to_device ${ALICE}`, 'malformed'],
      ['has no messages', message({ messages: [] }), 'm.direct_to_device id', 'malformed'],
      ['has no sender', message({ sender: 'alice' }), 'm.direct_to_device id', 'malformed'],
      ['is a device of nobody', device({ ...deviceList, user_id: 5 }), 'm.device_list_update', 'malformed'],
      [
        'is no device',
        device({ ...deviceList, device_id: null }),
        `m.device_list_update ${ALICE}`,
        'malformed',
      ],
      [
        'has no place in its chain',
        device({ ...deviceList, stream_id: {} }),
        `m.device_list_update ${ALICE}`,
        'malformed',
      ],
      [
        'are keys of nobody',
        { edu_type: 'm.signing_key_update', content: {}, rooms: [] },
        'm.signing_key_update',
        'malformed',
      ],
    ]
    for (const [what, item, value, why] of cases) {
      it(what, () => {
        const taken = takenEdu(item)
        expect(taken.ignored).to.deep.equal([{ value, why }])
        expect(taken.parts).to.deep.equal([])
      })
    }

    it('and the rest of it goes', () => {
      const { parts, ignored } = takenEdu(
        inRoom({ [ALICE]: { ...receiptOf('$a'), x: '#0.5#' }, [BOB]: good, '@c': null, '@d': null }),
      )
      expect(parts).to.have.lengthOf(1)
      expect(ignored.map(({ value }) => value)).to.deep.equal([
        ...[`m.receipt ${ALICE}`, 'm.receipt @c', 'm.receipt @d'],
      ])
    })

    it('and says so once, in few words and whole characters', () => {
      const nobody = Array.from({ length: 1000 }, () => ({}))
      expect(takenEdu(presence(...nobody)).ignored).to.deep.equal([{ value: 'm.presence', why: 'malformed' }])
      for (const before of ['x', 'xx']) {
        const [ignored] = takenEdu(presence({ user_id: `${before}${'💥'.repeat(300)}` })).ignored
        expect(ignored?.value).to.have.lengthOf.within(253, 255)
        expect(ignored?.value).to.not.match(/\p{Surrogate}/u)
      }
    })
  })

  it('goes just so deep, and just so far', () => {
    expect(takenEdu({ ...plain, content: nested(99) }).parts).to.have.lengthOf(1)
    // A whole EDU: {"content":{"a":"…"},"edu_type":"org.example.x"}
    const around = '{"content":{"a":""},"edu_type":"org.example.x"}'.length
    const long = (bytes: number) =>
      takenEdu({ ...plain, content: { a: 'x'.repeat(bytes - around) } }).parts[0]
    expect(long(65_536)).to.include({ alone: false })
    expect(long(65_537)).to.include({ alone: true })
    expect(long(1_048_576)).to.include({ alone: true })
    expect(long(1_048_577)).to.equal(undefined)
  })

  it('is one of users whose names are traps', () => {
    const { parts, ignored } = takenEdu(
      JSON.parse(
        `{"edu_type":"m.receipt","rooms":["${ROOM}"],"content":{"${ROOM}":{"__proto__":{"@__proto__:a":${JSON.stringify(receiptOf('$a'))},"__proto__":null},"constructor":{}}}}`,
      ) as object,
    )
    expect(parts.map(({ content }) => content)).to.deep.equal([
      `{"${ROOM}":{"__proto__":{"@__proto__:a":{"data":{"ts":1},"event_ids":["$a"]}}}}`,
    ])
    expect(ignored).to.deep.equal([{ value: 'm.receipt __proto__', why: 'malformed' }])
    const own = takenEdu(
      JSON.parse('{"edu_type":"m.x","rooms":[],"content":{"__proto__":{"user_id":1}}}') as object,
    )
    expect(own.parts[0]?.content).to.equal('{"__proto__":{"user_id":1}}')
  })

  it('leaves out half a character, however it came in', () => {
    const content = {}
    setMember(content, 'a', '\ud800')
    const fail = () => {
      throw new Error('it is no fault of its form')
    }
    const { parts, ignored } = parseEdu({ edu_type: 'm.x', content, rooms: [] }, fail)
    expect(parts).to.deep.equal([])
    expect(ignored).to.deep.equal([{ value: 'm.x', why: 'not_canonical' }])
  })

  it('has a key that an index can hold, whatever the names', () => {
    const odd = `@${'\u0001'.repeat(200)}:a`
    const keyOf = (thread: string) =>
      takenEdu(receiptItem({ [ROOM]: { 'm.read': { [odd]: receiptOf('$a', thread) } } })).parts[0]?.key ?? ''
    expect(keyOf('$a')).to.match(/^sha256:.{44}$/)
    expect(keyOf('$a')).to.equal(keyOf('$a')).and.not.equal(keyOf('$b'))
  })
})

/** `levels` objects within each other. */
function nested(levels: number): object {
  let value: object = {}
  for (let level = 1; level < levels; level += 1) value = { a: value }
  return value
}
