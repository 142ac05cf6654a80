import { expect } from 'chai'
import type { FastifyInstance } from 'fastify'
import type { EventItem } from '../../../src/ingest/items.ts'
import { eventItem, fakeAppend, makeTestApp, post, ROOM, SERVER } from './stage.ts'
import type { FakeAppend } from './stage.ts'

describe('items at the door', () => {
  let app: FastifyInstance
  let fake: FakeAppend
  beforeEach(() => {
    fake = fakeAppend()
    app = makeTestApp({ append: fake.append })
  })
  afterEach(() => app.close())

  const taken = async (item: object): Promise<EventItem> => {
    const { status, body } = await post(app, { items: [item] })
    expect(status, JSON.stringify(body)).to.equal(200)
    return fake.requests.at(-1)?.items[0] as EventItem
  }
  const refused = async (item: unknown, at = 0) => {
    fake.requests.length = 0
    const items = [...Array.from({ length: at }, () => eventItem()), item]
    const { status, body } = await post(app, { items })
    expect(fake.requests, 'nothing is taken').to.have.length(0)
    return { status, ...body }
  }

  it('keep the PDU as canonical JSON and say who gets it', async () => {
    const item = eventItem({}, { also_to: ['b.example'], not_to: ['c.example'] })
    const event = await taken(item)
    expect(JSON.parse(event.pdu)).to.deep.equal(item.pdu)
    expect(event.pdu).to.match(/^\{"auth_events":\[\],"content":/)
    expect(event).to.deep.include({
      roomId: ROOM,
      roomVersion: '11',
      eventId: item.event_id,
      sender: `@u:${SERVER}`,
      stickyDurationMs: null,
      audience: { alsoTo: ['b.example'], notTo: ['c.example'] },
    })
    expect((await taken(eventItem())).audience).to.deep.equal({ alsoTo: [], notTo: [] })
    expect((await taken(eventItem({}, { to: [] }))).audience).to.deep.equal({ to: [] })
  })

  it('keep what stands in unsigned', async () => {
    const item = eventItem()
    item.pdu['unsigned'] = { age: 5 }
    expect((await taken(item)).pdu).to.include('"unsigned":{"age":5}')
  })

  describe('that are sticky', () => {
    const sticky = (field: string, duration: unknown, more: object = {}) =>
      eventItem({ more: { [field]: { duration_ms: duration } }, ...more })

    it('have their duration, uncapped, by either name of the field', async () => {
      expect((await taken(sticky('msc4354_sticky', 60_000))).stickyDurationMs).to.equal(60_000)
      expect((await taken(sticky('sticky', 7_200_000))).stickyDurationMs).to.equal(7_200_000)
    })

    it('are ordinary when flagged, when of another server, without a duration, and by another name', async () => {
      expect((await taken({ ...sticky('sticky', 60_000), sticky: false })).stickyDurationMs).to.equal(null)
      expect((await taken(sticky('sticky', 60_000, { sender: '@u:b.example' }))).stickyDurationMs).to.equal(
        null,
      )
      expect((await taken(sticky('sticky', 0))).stickyDurationMs).to.equal(null)
      expect((await taken(sticky('sticky', 'long'))).stickyDurationMs).to.equal(null)
      expect((await taken(sticky('gluey', 60_000))).stickyDurationMs).to.equal(null)
    })

    it('stay sticky when `sticky: true` is said', async () => {
      expect((await taken({ ...sticky('sticky', 60_000), sticky: true })).stickyDurationMs).to.equal(60_000)
    })
  })

  it('may be of a room version that nobody knows yet: the event id is as given', async () => {
    const item = { ...eventItem(), room_version: 'org.example.13', event_id: '$anything' }
    expect(await taken(item)).to.include({ roomVersion: 'org.example.13', eventId: '$anything' })
  })

  it('may be the create event of a room of version 12, which names no room', async () => {
    const made = eventItem({ type: 'm.room.create', stateKey: '', roomId: '' }, { version: '12' })
    const room = made.event_id.replace('$', '!')
    expect((await taken({ ...made, room_id: room })).roomId).to.equal(room)
    expect(await refused({ ...made, room_id: '!other' })).to.deep.include({
      status: 400,
      path: 'pdu.room_id',
    })
  })

  it('keep numbers beyond canonical JSON as they were written where the room version allows them', async () => {
    const item = eventItem({}, { version: '5' })
    const text = JSON.stringify({
      items: [{ ...item, room_version: '5', pdu: { ...item.pdu, unsigned: { n: '@' } } }],
    })
    const { status, body } = await post(app, text.replace('"@"', '1.5e+300'))
    expect(status, JSON.stringify(body)).to.equal(200)
    expect((fake.requests[0]?.items[0] as EventItem).pdu).to.include('"unsigned":{"n":1.5e+300}')
  })

  it('are refused for such numbers where the room version does not', async () => {
    const item = eventItem()
    const text = JSON.stringify({ items: [{ ...item, pdu: { ...item.pdu, content: { n: '@' } } }] })
    const { status, body } = await post(app, text.replace('"@"', '1.5'))
    expect(status).to.equal(400)
    expect(body).to.include({ errcode: 'M_BAD_JSON', index: 0, path: 'pdu.content.n' })
  })

  it('are refused when the event id is not that of the PDU, with the one that it is', async () => {
    const item = eventItem()
    const answer = await refused({ ...item, event_id: '$wrong' }, 2)
    expect(answer).to.include({ status: 400, errcode: 'M_INVALID_PARAM', index: 2, path: 'event_id' })
    expect(answer).to.have.property('error').that.includes(item.event_id)
  })

  it('are refused with 413 when the PDU has more than 65,536 bytes of canonical JSON, and taken at that', async () => {
    const room = 65_536 - JSON.stringify(eventItem({ content: { body: '' } }).pdu).length
    await taken(eventItem({ content: { body: 'x'.repeat(room) } }))
    fake.requests.length = 0
    const answer = await refused(eventItem({ content: { body: 'x'.repeat(room + 1) } }), 1)
    expect(answer).to.include({ status: 413, errcode: 'M_TOO_LARGE', index: 1, path: 'pdu' })
    // Bytes, not characters.
    const wide = await refused(eventItem({ content: { body: 'é'.repeat(room / 2 + 1) } }))
    expect(wide).to.include({ status: 413, path: 'pdu' })
  })

  it('do not count `unsigned` towards those bytes, which is neither hashed nor signed', async () => {
    const room = 65_536 - JSON.stringify(eventItem({ content: { body: '' } }).pdu).length
    const unsigned = { invite_room_state: ['x'.repeat(1_000)] }
    const item = eventItem({ content: { body: 'x'.repeat(room) } })
    item.pdu['unsigned'] = unsigned
    expect((await taken(item)).pdu).to.include(JSON.stringify(unsigned))
    const longer = eventItem({ content: { body: 'x'.repeat(room + 1) } })
    longer.pdu['unsigned'] = unsigned
    expect(await refused(longer)).to.include({ status: 413, errcode: 'M_TOO_LARGE', path: 'pdu' })
  })

  // Receivers refuse a whole transaction, or fail on it, over one such object.
  describe('that are no events', () => {
    const missing = ['depth', 'content', 'hashes', 'signatures'] as const
    const spoilt: [field: string, value: unknown, path?: string][] = [
      ...missing.map((field): [string, unknown] => [field, undefined]),
      ...[null, '5', -1, true, [], {}].map((value): [string, unknown] => ['depth', value]),
      ...[null, 'x', 5, []].flatMap((value): [string, unknown][] =>
        ['content', 'hashes', 'signatures', 'unsigned'].map((field) => [field, value]),
      ),
      ['hashes', {}, 'pdu.hashes.sha256'],
      ['hashes', { sha256: 5 }, 'pdu.hashes.sha256'],
      ['hashes', { sha256: 'x', md5: null }, 'pdu.hashes.md5'],
      ['signatures', { [SERVER]: 'x' }, `pdu.signatures.${SERVER}`],
      ['signatures', { [SERVER]: { 'ed25519:1': 5 } }, `pdu.signatures.${SERVER}.ed25519:1`],
      ['state_key', 5],
      ['state_key', null],
      ['event_id', '$inside'],
      ['auth_events', {}],
      ['prev_events', '$x'],
      ['auth_events', ['$x', 5], 'pdu.auth_events.1'],
      ['prev_events', [['$x', {}]], 'pdu.prev_events.0'],
      ['unsigned', { age: 'old' }, 'pdu.unsigned.age'],
      ['age', null],
    ]
    for (const [field, value, path = `pdu.${field}`] of spoilt) {
      const said = value === undefined ? 'nothing' : JSON.stringify(value)
      for (const version of ['11', 'org.example.13']) {
        // What a room version to come has is not known.
        if (version !== '11' && ['event_id', 'auth_events', 'prev_events'].includes(field)) continue
        it(`are refused in room version ${version} where ${field} is ${said}`, async () => {
          const item = eventItem()
          const pdu = { ...item.pdu, [field]: value }
          const answer = await refused({ ...item, room_version: version, pdu }, 1)
          expect(answer).to.include({ status: 400, errcode: 'M_INVALID_PARAM', index: 1, path })
        })
      }
    }

    it('are refused as the redacted form of an event, too', async () => {
      const { event_id, pdu } = eventItem()
      for (const field of missing) {
        const form = { type: 'redact', event_id, pdu: { ...pdu, content: {}, [field]: undefined } }
        expect(await refused(form)).to.include({ status: 400, path: `pdu.${field}` })
      }
    })

    it('are refused for a depth that is a fraction, or too large for the room version', async () => {
      const withDepth = async (version: string, depth: string) => {
        const item = eventItem({}, { version })
        const pdu = { ...item.pdu, depth: '@' }
        const [id, given] = version === '11' ? [item.event_id, pdu] : ['$x:a', { ...pdu, event_id: '$x:a' }]
        const text = JSON.stringify({ items: [{ ...item, event_id: id, pdu: given }] })
        const { status, body } = await post(app, text.replace('"@"', depth))
        return [status, body['path']]
      }
      for (const depth of ['1.5', '1e+300', '9223372036854775808', '-1'])
        for (const version of ['1', '11'])
          expect(await withDepth(version, depth), depth).to.deep.equal([400, 'pdu.depth'])
      expect(await withDepth('11', '9007199254740992')).to.deep.equal([400, 'pdu.depth'])
      // Rooms of old versions whose depth somebody drove to its end go on there.
      expect(await withDepth('1', '9223372036854775807')).to.deep.equal([200, undefined])
    })

    it('may vary as the room versions do', async () => {
      const old = eventItem({ prevEvents: ['$p:b.example'], authEvents: ['$a:b.example'] }, { version: '1' })
      expect(old.pdu['prev_events']).to.deep.equal([['$p:b.example', {}]])
      await taken(old)
      const item = eventItem({ stateKey: '', prevEvents: ['$p'], authEvents: ['$a'], depth: 0 })
      item.pdu['signatures'] = {}
      item.pdu['unsigned'] = { age: 5, anything: null }
      await taken(item)
    })
  })

  const wrong: [what: string, item: unknown, path: string][] = [
    ['that are no objects', 'hello', ''],
    ['without a type', { room_id: ROOM }, 'type'],
    ['of an unknown type', { type: 'cake' }, 'type'],
    ['of a type that is a word of JavaScript', { type: 'constructor' }, 'type'],
    ['with an unknown field', { type: 'purge', room_id: ROOM, force: true }, 'force'],
    ['without a room', { type: 'purge' }, 'room_id'],
    ['of a room that is none', { type: 'purge', room_id: 'room' }, 'room_id'],
    ['whose room is a number', { type: 'purge', room_id: 5 }, 'room_id'],
    ['without a server', { type: 'server_up' }, 'server'],
    ['that change nothing in a room', { type: 'servers', room_id: ROOM }, 'add'],
    ['that set and add', { type: 'servers', room_id: ROOM, set: [], add: [] }, 'set'],
    ['whose servers are no list', { type: 'servers', room_id: ROOM, add: 'b.example' }, 'add'],
    ['of which a server is no text', { type: 'servers', room_id: ROOM, add: ['a', 'b', 5] }, 'add.2'],
    ['to servers and beyond the room', { ...eventItem(), to: [], also_to: [] }, 'to'],
    ['to servers and not to others', { ...eventItem(), to: [], not_to: ['b'] }, 'to'],
    ['whose sticky is no truth', { ...eventItem(), sticky: 'no' }, 'sticky'],
    ['without a PDU', { ...eventItem(), pdu: undefined }, 'pdu'],
    ['whose PDU is text', { ...eventItem(), pdu: '{}' }, 'pdu'],
    ['without a room version', { ...eventItem(), room_version: undefined }, 'room_version'],
    ['of an impossible room version', { ...eventItem(), room_version: 'a\u0000b' }, 'room_version'],
    ['whose event id is none', { ...eventItem(), event_id: 'x' }, 'event_id'],
    ['whose PDU has no sender', withPdu({ sender: undefined }), 'pdu.sender'],
    ['whose sender is no user', withPdu({ sender: 'u' }), 'pdu.sender'],
    ['whose sender has a NUL', withPdu({ sender: '@a\u0000:b' }), 'pdu.sender'],
    ['whose PDU has no type', withPdu({ type: undefined }), 'pdu.type'],
    ['whose PDU was never sent', withPdu({ origin_server_ts: undefined }), 'pdu.origin_server_ts'],
    ['whose PDU was sent at noon', withPdu({ origin_server_ts: 'noon' }), 'pdu.origin_server_ts'],
    ['whose PDU is of another room', withPdu({ room_id: '!b:a.example' }), 'pdu.room_id'],
    ['whose PDU is of no room', withPdu({ room_id: undefined }), 'pdu.room_id'],
    ['that redact nothing', { type: 'redact', pdu: {} }, 'event_id'],
    ['that erase nothing', { type: 'erase' }, 'sender'],
    [
      'that erase a sender and events',
      { type: 'erase', sender: '@a:b.example', event_ids: ['$a'] },
      'sender',
    ],
    ['that erase no user', { type: 'erase', sender: 'a' }, 'sender'],
    ['that erase no list', { type: 'erase', event_ids: '$a' }, 'event_ids'],
    ['that erase an empty list', { type: 'erase', event_ids: [] }, 'event_ids'],
    ['that erase no event', { type: 'erase', event_ids: ['$a', 'b'] }, 'event_ids.1'],
    ['that redact without a form', { type: 'redact', event_id: '$a' }, 'pdu'],
  ]
  function withPdu(change: object) {
    const item = eventItem()
    return { ...item, pdu: { ...item.pdu, ...change } }
  }
  for (const [what, item, path] of wrong) {
    it(`are refused ${what}, with the place`, async () => {
      const answer = await refused(item, 1)
      expect(answer).to.include({ status: 400, errcode: 'M_INVALID_PARAM', index: 1, path })
      expect(answer).to.have.property('error').that.is.a('string')
    })
  }

  it('may be EDUs, of which what can not be sent is left out, and what their producer says must be right', async () => {
    const edu = { type: 'edu', edu_type: 'm.x', content: { a: 1 }, destinations: [SERVER] }
    expect(await taken(edu)).to.deep.equal({
      ...{ type: 'edu', eduType: 'm.x', audience: { destinations: [SERVER] }, ignored: [] },
      parts: [{ key: null, content: '{"a":1}', durable: false, ttlMs: 3_600_000, alone: false }],
    })
    expect(await taken({ ...edu, content: { a: 1.5 } })).to.deep.include({
      parts: [],
      ignored: [{ value: 'm.x', why: 'not_canonical' }],
    })
    expect(await refused({ ...edu, also_to: [] })).to.include({ status: 400, path: 'also_to' })
    expect(await refused({ ...edu, destinations: undefined })).to.include({ status: 400, path: 'rooms' })
    expect(await refused({ ...edu, edu_type: 5 })).to.include({ status: 400, path: 'edu_type' })
  })

  it('keep odd server names, which the answer lists later', async () => {
    await post(app, { items: [{ type: 'servers', room_id: ROOM, add: ['not a name', '', SERVER] }] })
    expect(fake.requests[0]?.items[0]).to.deep.include({
      change: { add: ['not a name', '', SERVER], remove: [] },
    })
  })

  it('erase a sender, or events, each once', async () => {
    const items = [
      { type: 'erase', sender: '@a:b.example' },
      { type: 'erase', event_ids: ['$a', '$b', '$a'] },
    ]
    await post(app, { items })
    expect(fake.requests[0]?.items).to.deep.equal([
      { type: 'erase', sender: '@a:b.example', eventIds: null },
      { type: 'erase', sender: null, eventIds: ['$a', '$b'] },
    ])
  })

  it('keep the redacted form of a redaction, for the store to check', async () => {
    const { event_id, pdu } = eventItem()
    await post(app, { items: [{ type: 'redact', event_id, pdu: { ...pdu, content: {} } }] })
    const item = fake.requests[0]?.items[0]
    expect(item).to.deep.include({ type: 'redact', eventId: event_id })
    expect(item).to.have.property('pdu').that.includes('"content":{}')
  })
})
