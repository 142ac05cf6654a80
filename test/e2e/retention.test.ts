/**
 * What a destination gets that was away for longer than the log is kept (contract 5.4), with a real daemon whose
 * housekeeping drops the partitions.
 */
import { expect } from 'chai'
import type { FakeHomeserver } from '../../src/simulate/fleet/fake-homeserver.ts'
import { until } from '../support/poll.ts'
import { makeWorld, type SentEvent, type World } from './world.ts'

const HOUR = 3_600_000

describe('a destination that was away for longer than the log is kept', function () {
  let world: World
  let remote: FakeHomeserver
  let other: FakeHomeserver
  let quiet: FakeHomeserver
  beforeEach(async () => {
    world = await makeWorld({
      settings: {
        retention: { events_ms: 2 * HOUR },
        // It is tried when a test asks for it, and not before.
        federation: { backoff: { first_ms: 100 * HOUR, max_ms: 100 * HOUR } },
      },
    })
    await world.start()
    ;[remote, other, quiet] = await Promise.all([world.remote(), world.remote(), world.remote()])
  })
  afterEach(() => world.stop())

  const room = (n: number) => `!room${n}:home.example`
  const servers = (n: number, change: object) => ({ type: 'servers', room_id: room(n), ...change })
  const ids = (events: SentEvent[]) => events.map(({ eventId }) => eventId)
  const items = (events: SentEvent[]) => events.map(({ item }) => item)
  const act = (action: string) =>
    world.request(`/v1/destinations/${remote.serverName}/${action}`, { method: 'POST', token: 'admin-token' })
  const view = async (name: string) =>
    (await world.request(`/v1/destinations/${name}`, { token: 'read-token' })).body as Record<string, unknown>
  /** What `limpet explain` says of it for the destination: its outcome and lane, or why it says nothing. */
  const explained = async ({ eventId }: SentEvent) => {
    const path = `/v1/events/${encodeURIComponent(eventId)}?destination=${remote.serverName}`
    const { body } = await world.request(path, { token: 'read-token' })
    const { destinations, error } = body as {
      destinations?: { outcome: string; as: string }[]
      error?: string
    }
    return destinations === undefined ? error : [destinations[0]?.outcome, destinations[0]?.as]
  }
  const failed = () =>
    until(async () => (await view(remote.serverName))['failing_since'] !== null, {
      what: 'the first failure',
    })
  const idle = () =>
    until(
      async () => {
        const { state, pending_pdus, gap } = await view(remote.serverName)
        return state === 'idle' && pending_pdus === 0 && gap === null
      },
      { what: 'the destination to be through' },
    )
  const logIsGone = () =>
    until(async () => (await world.pool.query('select from events')).rowCount === 0, {
      what: 'the log to go',
    })

  /** Kicked from one room, in another since, twice invited and uninvited, while it was away; what it is owed by that. */
  async function awhile(): Promise<{ all: SentEvent[]; owed: SentEvent[] }> {
    const talk = (n: number, events: number, item: object = {}) =>
      Array.from({ length: events }, () => world.event(room(n), { item: { ...item } }))
    const before = talk(1, 5)
    const kick = world.event(room(1))
    const secret = talk(1, 5)
    const rescinded = [
      world.event(room(4), { item: { also_to: [remote.serverName] } }),
      world.event(room(5), { item: { to: [remote.serverName] } }),
    ]
    const elsewhere = talk(4, 2)
    const joined = talk(3, 3)
    const still = talk(2, 4)
    const withheld = talk(2, 1, { not_to: [remote.serverName] })
    const others = talk(2, 1, { to: [other.serverName] })
    await world.ingest([
      ...items([...before, kick]),
      servers(1, { remove: [remote.serverName] }),
      ...items(secret),
      ...items(rescinded),
      ...items(elsewhere),
      servers(3, { add: [remote.serverName] }),
      ...items([...joined, ...still, ...withheld, ...others]),
    ])
    const all = [
      ...before,
      kick,
      ...secret,
      ...rescinded,
      ...elsewhere,
      ...joined,
      ...still,
      ...withheld,
      ...others,
    ]
    return { all, owed: [kick, ...rescinded, joined[2]!, still[3]!] }
  }

  async function setUp(): Promise<void> {
    const both = [remote.serverName, other.serverName]
    await world.ingest([
      servers(1, { add: both }),
      servers(2, { add: both }),
      servers(3, { add: [other.serverName] }),
      servers(4, { add: [other.serverName] }),
      servers(6, { add: [quiet.serverName] }),
    ])
    const hello = [world.event(room(1)), world.event(room(6))]
    await world.ingest(items(hello))
    await until(() => remote.received.size === 1 && quiet.received.size === 1, { what: 'a first event each' })
    await world.quiet()
  }

  it('gets exactly what catch-up owes it, in stream order, and nothing else; who was there is not concerned', async () => {
    await setUp()
    await remote.stop()
    const { all, owed } = await awhile()
    await failed()
    await until(() => other.received.size === 1 + all.length - 1, {
      what: 'the other to have what is for it',
    })
    await world.timePasses(26 * HOUR)
    await logIsGone()

    expect(await view(remote.serverName), 'what is still owed').to.include({ pending_pdus: owed.length })
    expect(await view(quiet.serverName), 'what the quiet one is owed').to.include({
      pending_pdus: 0,
      gap: null,
    })
    const { rows } = await world.pool.query<{ position: number; log_floor: number }>(
      'select position, log_floor from destinations, stream where name = $1',
      [quiet.serverName],
    )
    expect(rows[0]?.position, 'the quiet one is moved on').to.equal(rows[0]?.log_floor)

    expect(await explained(owed[1]!), 'what was kept').to.deep.equal(['pending', 'catch_up'])
    expect(await explained(all[0]!), 'what is gone').to.equal(
      'that event is no longer in the log (purged, erased, or too old)',
    )

    await remote.restart()
    await act('wake')
    await idle()
    expect([...remote.received.keys()].slice(1)).to.deep.equal(ids(owed))
    expect(remote.violations).to.deep.equal([])
    expect(await explained(owed[1]!)).to.deep.equal(['delivered', 'catch_up'])
    // And then real time again.
    const after = [world.event(room(2)), world.event(room(6))]
    await world.ingest(items(after))
    await until(() => remote.received.has(after[0]!.eventId) && quiet.received.has(after[1]!.eventId), {
      what: 'what comes after it',
    })
    expect([remote.received.size, quiet.received.size]).to.deep.equal([2 + owed.length, 2])
  })

  it('gets its unanswered transaction as it was first, and of the rest what it does not have', async () => {
    await setUp()
    remote.behave({ kind: 'status', status: 502 })
    const first = [world.event(room(1)), world.event(room(2))]
    await world.ingest(items(first))
    await failed()
    await world.released()
    const { owed } = await awhile()
    const [unanswered] = remote.transactions.slice(-1)
    await world.timePasses(5 * HOUR)
    await logIsGone()
    remote.behave({ kind: 'ok' })
    await act('wake')
    await idle()
    expect([...remote.received.keys()].slice(1)).to.deep.equal(ids([...first, ...owed]))
    expect(remote.transactions.map(({ txnId }) => txnId)).to.include(unanswered?.txnId)
    expect(remote.violations, 'the same bytes under the same id').to.deep.equal([])
  })

  it('gets what the whole outage left in one: a transaction that nobody remembers any more is none', async () => {
    await setUp()
    remote.behave({ kind: 'status', status: 502 })
    const { owed } = await awhile()
    await failed()
    await world.released()
    await world.timePasses(26 * HOUR)
    await logIsGone()
    // A second day goes by.
    const second = [world.event(room(2)), world.event(room(3))]
    await world.ingest(items(second))
    await world.timePasses(26 * HOUR)
    await logIsGone()
    remote.behave({ kind: 'ok' })
    remote.forgive()
    await act('wake')
    await idle()
    const [kick, also, to] = owed
    expect([...remote.received.keys()].slice(1)).to.deep.equal(ids([kick!, also!, to!, ...second]))
    expect(remote.violations).to.deep.equal([])
  })

  it('is not told what was redacted or purged meanwhile', async () => {
    await setUp()
    await remote.stop()
    const { owed } = await awhile()
    await failed()
    await world.timePasses(26 * HOUR)
    await logIsGone()
    const [kick, also, to, joined, still] = owed as [SentEvent, SentEvent, SentEvent, SentEvent, SentEvent]
    const pdu = { ...(still.item['pdu'] as Record<string, unknown>), content: {} }
    await world.ingest([
      { type: 'redact', event_id: still.eventId, pdu },
      { type: 'purge', room_id: room(3) },
    ])
    await remote.restart()
    await act('wake')
    await idle()
    expect([...remote.received.keys()].slice(1)).to.deep.equal(ids([kick, also, to, still]))
    expect(remote.received.has(joined.eventId)).to.equal(false)
    const bodies = remote.transactions.map(({ body }) => body ?? 'not kept')
    const text = (still.item['pdu'] as { content: { body: string } }).content.body
    expect(bodies.filter((body) => body.includes(`"${text}"`) || body === 'not kept')).to.deep.equal([])
    expect(bodies.at(-1), 'the redacted form').to.include('"content":{}')
  })
})
