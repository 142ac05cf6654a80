/** EDUs from the ingest API to the homeservers that are to have them: a whole daemon, and strict servers that check what they get. */
import { expect } from 'chai'
import { ok } from '../../src/simulate/fleet/behaviour.ts'
import type { FakeHomeserver } from '../../src/simulate/fleet/fake-homeserver.ts'
import { until } from '../support/poll.ts'
import { makeWorld, OURS, TOKENS, type World } from './world.ts'

const ROOM = `!room:${OURS}`
const OTHER = `!other:${OURS}`
const ALICE = `@alice:${OURS}`

interface Body {
  pdus: unknown[]
  edus?: { edu_type: string; content: Record<string, unknown> }[]
}

const KEYS = {
  user_id: ALICE,
  master_key: { user_id: ALICE, usage: ['master'], keys: { 'ed25519:key': 'key' } },
}

const edu = (edu_type: string, content: object, to: object) => ({ type: 'edu', edu_type, content, ...to })
const typing = (is: boolean, room = ROOM, user = ALICE) =>
  edu('m.typing', { room_id: room, user_id: user, typing: is }, { rooms: [room] })
const receipt = (user: string, thread?: string, room = ROOM) => {
  const data = { ts: 1, ...(thread === undefined ? {} : { thread_id: thread }) }
  return edu(
    'm.receipt',
    { [room]: { 'm.read': { [user]: { event_ids: ['$e'], data } } } },
    { rooms: [room] },
  )
}
const presence = (users: readonly string[], room = ROOM) =>
  edu(
    'm.presence',
    { push: users.map((user) => ({ user_id: user, presence: 'online', last_active_ago: 5 })) },
    { rooms: [room] },
  )
const toDevice = (id: string, { serverName }: FakeHomeserver, body: object = { ciphertext: id }) =>
  edu(
    'm.direct_to_device',
    {
      ...{ sender: ALICE, type: 'm.room.encrypted', message_id: id },
      messages: { [`@bob:${serverName}`]: { DEVICE: body } },
    },
    { destinations: [serverName] },
  )
const deviceList = (streamId: number, before: readonly number[]) =>
  edu(
    'm.device_list_update',
    {
      user_id: ALICE,
      device_id: 'D',
      stream_id: streamId,
      prev_id: before,
      device_display_name: `${streamId}`,
    },
    { rooms: [ROOM] },
  )

describe('EDUs', () => {
  let world: World
  let remote: FakeHomeserver
  async function setUp(settings: Record<string, unknown> = {}) {
    world = await makeWorld({ settings: settings })
    await world.start()
    remote = await world.remote()
    await world.ingest([{ type: 'servers', room_id: ROOM, add: [remote.serverName] }])
  }
  afterEach(() => world.stop())

  const act = (verb: string, { serverName }: FakeHomeserver = remote) =>
    world.request(`/v1/destinations/${serverName}/${verb}`, { method: 'POST', token: TOKENS.admin })
  const get = async (path: string) => (await world.request(path, { token: TOKENS.read })).body
  const paused = async () => {
    await act('pause')
    await world.released()
  }
  /** An event is beside them. */
  const give = (edus: readonly object[], rooms = [ROOM]) =>
    world.ingest([...edus, ...rooms.map((room) => world.event(room).item)])
  const bodies = (one = remote) => one.transactions.map(({ body }) => JSON.parse(body ?? '{}') as Body)
  const typesOf = (one = remote) =>
    bodies(one).flatMap(({ edus = [] }) => edus.map(({ edu_type }) => edu_type))
  const messages = (one = remote) => [...one.edus.toDevice.values()].map(({ part }) => part.messageId)
  async function shown(name: string): Promise<Record<string, number>> {
    const { body } = await world.request('/metrics')
    const lines = String(body).matchAll(/^limpet_(\S+?(?:\{[^}]*\})?) (\S+)$/gm)
    return Object.fromEntries(
      [...lines].flatMap(([, key = '', value]) => (key.startsWith(name) ? [[key, Number(value)]] : [])),
    )
  }

  it('go to the servers that are to have them, and to no others; what becomes of them is seen', async () => {
    await setUp()
    const other = await world.remote()
    await world.ingest([{ type: 'servers', room_id: OTHER, add: [other.serverName] }])
    const told = await give(
      [
        ...[toDevice('m1', remote), toDevice('m2', other), typing(true), typing(true, OTHER)],
        ...[receipt(ALICE), receipt(ALICE, '$thread'), receipt(`@carol:${OURS}`, undefined, OTHER)],
        edu('org.example.x', { a: 1 }, { rooms: [ROOM, OTHER] }),
        edu('m.signing_key_update', KEYS, { rooms: [ROOM] }),
      ],
      [ROOM, OTHER],
    )
    expect(told).to.deep.include({ accepted: 11, ignored: [], unknown_rooms: [] })
    await until(() => remote.edus.counts.size === 5 && other.edus.counts.size === 4, { what: 'all of them' })
    await world.quiet()
    expect(messages()).to.deep.equal(['m1'])
    expect(messages(other)).to.deep.equal(['m2'])
    const seen = (one: FakeHomeserver) => [
      [...one.edus.typing.values()].map(({ part }) => part.roomId),
      [...one.edus.receipts.values()].map(({ part }) => [part.userId, part.threadId]),
    ]
    // Of threads first: some receivers keep the last.
    expect(seen(remote)).to.deep.equal([
      [ROOM],
      [
        [ALICE, '$thread'],
        [ALICE, null],
      ],
    ])
    const keys = bodies().flatMap(({ edus = [] }) =>
      edus.filter(({ edu_type }) => edu_type === 'm.signing_key_update').map(({ content }) => content),
    )
    expect(keys).to.deep.equal([KEYS])
    expect(seen(other)).to.deep.equal([[OTHER], [[`@carol:${OURS}`, null]]])
    for (const one of [remote, other]) {
      expect(one.violations).to.deep.equal([])
      expect(one.edus.notEntitled).to.deep.equal([])
    }
    expect(await get('/v1/events/m1')).to.deep.include({ message_id: 'm1', event_id: null })
    const { destinations } = (await get('/v1/events/m1')) as { destinations: object[] }
    expect(destinations).to.have.length(1)
    expect(destinations[0]).to.include({ destination: remote.serverName, outcome: 'acknowledged' })
    expect(await get(`/v1/destinations/${remote.serverName}`)).to.include({ pending_edus: 0, state: 'idle' })
    const { transactions } = (await get(`/v1/destinations/${remote.serverName}/transactions`)) as {
      transactions: { edus: number }[]
    }
    expect(transactions.reduce((sum, { edus }) => sum + edus, 0)).to.equal(typesOf().length)
    expect(await shown('edus_sent_total')).to.deep.equal({
      'edus_sent_total{type="m.typing"}': 2,
      'edus_sent_total{type="m.receipt"}': 3,
      'edus_sent_total{type="m.presence"}': 0,
      'edus_sent_total{type="m.direct_to_device"}': 2,
      'edus_sent_total{type="m.device_list_update"}': 0,
      'edus_sent_total{type="m.signing_key_update"}': 1,
      'edus_sent_total{type="other"}': 2,
    })
    expect(await shown('ingest_items_total{type="edu"}')).to.deep.equal({
      'ingest_items_total{type="edu"}': 9,
    })
  })

  it('of a preview are what is sent then, byte for byte', async () => {
    await setUp()
    await paused()
    await give([toDevice('m1', remote), typing(true), receipt(ALICE)])
    const shown = (await get(`/v1/destinations/${remote.serverName}/preview`)) as {
      edus: unknown[]
      body: string
    }
    expect(shown.edus).to.deep.equal([
      { edu_type: 'm.direct_to_device', position: 2 },
      { edu_type: 'm.typing', position: 3 },
      { edu_type: 'm.receipt', position: 4 },
    ])
    await act('resume')
    await until(() => remote.transactions.length > 0, { what: 'the transaction' })
    const withoutTs = (body: string | null | undefined) =>
      body?.replace(/"origin_server_ts":\d+,"pdus"/, '"pdus"')
    expect(withoutTs(remote.transactions[0]?.body)).to.equal(withoutTs(shown.body))
  })

  it('that wait are at most 100 a transaction beside at most 50 PDUs, and all arrive in order', async () => {
    await setUp()
    await paused()
    const ids = Array.from({ length: 250 }, (_, n) => `m${n}`)
    const events = Array.from({ length: 120 }, () => world.event(ROOM))
    await world.ingest([...ids.map((id) => toDevice(id, remote)), ...events.map(({ item }) => item)])
    await act('resume')
    await until(() => messages().length === ids.length && remote.received.size === events.length, {
      what: 'all of them',
    })
    expect(messages()).to.deep.equal(ids)
    const sizes = bodies().map(({ pdus, edus = [] }) => [pdus.length, edus.length])
    expect(sizes).to.deep.equal([
      [50, 100],
      [50, 100],
      [20, 50],
    ])
    expect(remote.edus.repeats).to.deep.equal([])
  })

  it('that are large go in bodies within the limit, and all arrive in order', async () => {
    const limit = 1_200_000
    await setUp({ federation: { max_body_bytes: limit } })
    await paused()
    const ids = Array.from({ length: 6 }, (_, n) => `m${n}`)
    await give(ids.map((id) => toDevice(id, remote, { ciphertext: 'x'.repeat(500_000) })))
    await act('resume')
    await until(() => messages().length === ids.length, { what: 'all of them', withinMs: 30_000 })
    expect(messages()).to.deep.equal(ids)
    for (const { body } of remote.transactions) expect(Buffer.byteLength(body ?? '')).to.be.at.most(limit)
  })

  it('beside a catch-up of hundreds of rooms go in its first transactions', async () => {
    await setUp({ catch_up: { threshold_pdus: 3, min_age_ms: 1_000 } })
    await paused()
    const rooms = Array.from({ length: 200 }, (_, n) => `!r${n}:${OURS}`)
    await world.ingest(rooms.map((room) => ({ type: 'servers', room_id: room, add: [remote.serverName] })))
    await world.ingest(rooms.flatMap((room) => [world.event(room).item, world.event(room).item]))
    await world.ingest([toDevice('m1', remote)])
    await world.moveClock(60_000)
    await act('resume')
    await until(() => remote.received.size === rooms.length, { what: 'the newest of each room' })
    const [first, ...rest] = bodies()
    expect(first?.edus?.map(({ edu_type }) => edu_type)).to.deep.equal(['m.direct_to_device'])
    expect(rest.length).to.be.above(3)
    expect(rest.flatMap(({ edus = [] }) => edus)).to.deep.equal([])
  })

  it('of a user who types and stops while the destination is slow are the last state only, and none that is old', async () => {
    await setUp()
    remote.behave(() => ({ ...ok, delayMs: 1_000 }))
    await give([])
    await until(() => remote.requests === 1, { what: 'a slow request' })
    await give([typing(true), receipt(ALICE)])
    await give([typing(false)])
    await until(() => remote.edus.typing.size === 1, { what: 'the last state' })
    await world.quiet()
    const said = bodies().flatMap(({ edus = [] }) => edus.filter(({ edu_type }) => edu_type === 'm.typing'))
    expect(said.map(({ content }) => content['typing'])).to.deep.equal([false])
    await paused()
    await give([typing(true)])
    await world.moveClock(61_000)
    await act('resume')
    await give([receipt(`@carol:${OURS}`)])
    await until(() => remote.edus.receipts.size === 2, { what: 'what came after it' })
    expect(typesOf().filter((type) => type === 'm.typing')).to.have.length(1)
  })

  it('of device lists that change while a server is down are a chain when it is up', async () => {
    await setUp()
    await give([deviceList(3, [])])
    await until(() => remote.edus.deviceLists.size === 1, { what: 'the first' })
    await remote.stop()
    await give([deviceList(5, [3]), deviceList(6, [5]), deviceList(9, [6])])
    await remote.restart()
    await act('wake')
    await until(() => remote.edus.deviceLists.size === 4, { what: 'all of them' })
    expect(
      [...remote.edus.deviceLists.values()].map(({ part, link }) => [part.streamId, link]),
    ).to.deep.equal([
      ...[
        [3, 'first'],
        [5, 'unbroken'],
        [6, 'unbroken'],
        [9, 'unbroken'],
      ],
    ])
    expect(remote.edus.resyncs).to.equal(0)
  })

  it('of presence of many users are 50 users in one, and each says how long ago it was active when it is sent', async () => {
    await setUp()
    await paused()
    const users = Array.from({ length: 120 }, (_, n) => `@user${n}:${OURS}`)
    await give([presence(users)])
    await act('resume')
    await until(() => remote.edus.presence.size === users.length, { what: 'all of them' })
    const pushed = bodies().flatMap(({ edus = [] }) => edus.map(({ content }) => content['push'] as object[]))
    expect(pushed.map((push) => push.length)).to.deep.equal([50, 50, 20])
    for (const update of pushed.flat()) expect(update).to.have.property('last_active_ago').that.is.at.least(5)
  })
})
