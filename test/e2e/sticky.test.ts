import { expect } from 'chai'
import type { JsonObject } from '../../src/matrix/json-value.ts'
import { redact } from '../../src/matrix/redaction.ts'
import { roomVersion } from '../../src/matrix/room-versions.ts'
import type { FakeHomeserver } from '../../src/simulate/fleet/fake-homeserver.ts'
import { until } from '../support/poll.ts'
import { makeWorld, PATIENT, type SentEvent, type World } from './world.ts'

const MINUTE = 60_000
const ROOM = '!call:home.example'

describe('sticky events', () => {
  let world: World
  let remote: FakeHomeserver
  beforeEach(async () => {
    // A longer backoff than this is cut, and the one of an hour below would be over soon.
    world = await makeWorld({ settings: { ...PATIENT, federation: { backoff: { max_ms: 28_800_000 } } } })
    await world.start()
    remote = await world.remote()
  })
  afterEach(() => world.stop())

  const join = () => ({ type: 'servers', room_id: ROOM, add: [remote.serverName] })
  const leave = () => ({ type: 'servers', room_id: ROOM, remove: [remote.serverName] })
  const told = { type: 'servers', room_id: ROOM, set: [] }
  const sticky = (stickyMs = 30 * MINUTE) => world.event(ROOM, { stickyMs })
  const ids = (events: SentEvent[]) => events.map(({ eventId }) => eventId)
  const items = (events: SentEvent[]) => events.map(({ item }) => item)
  const settled = () =>
    until(
      async () => {
        const { body } = await world.request(`/v1/destinations/${remote.serverName}`, { token: 'read-token' })
        const { position, head, pending_sticky, open_transaction } = body as Record<string, unknown>
        return position === head && pending_sticky === 0 && open_transaction === null
      },
      { what: 'the destination to be owed nothing' },
    )

  it('go to a server that joins, from before it joined, 50 a transaction in stream order, though nobody sends anything more', async () => {
    const events = Array.from({ length: 113 }, () => sticky())
    await world.ingest([told, ...items(events)])
    await world.ingest([join()])
    await until(() => remote.received.size === 113, { what: 'all 113' })
    await settled()
    expect(remote.transactions.map(({ pduIds }) => pduIds.length)).to.deep.equal([50, 50, 13])
    expect([...remote.received.keys()]).to.deep.equal(ids(events))
    expect(remote.violations).to.deep.equal([])
  })

  it('that are not ours, not sticky any more, flagged, redacted or of another room are not replayed', async () => {
    const mine = sticky()
    const flagged = world.event(ROOM, { stickyMs: 30 * MINUTE, item: { sticky: false } })
    const short = sticky(1 * MINUTE)
    const plain = world.event(ROOM)
    const elsewhere = world.event('!other:home.example', { stickyMs: 30 * MINUTE })
    const theirs = world.event(ROOM, { stickyMs: 30 * MINUTE, sender: '@eve:other.example' })
    const redacted = sticky()
    await world.ingest([told, ...items([mine, flagged, short, plain, elsewhere, theirs, redacted])])
    const pdu = redact(redacted.item['pdu'] as JsonObject, roomVersion('10')!)
    await world.ingest([{ type: 'redact', event_id: redacted.eventId, pdu }])
    await world.quiet()
    await world.moveClock(2 * MINUTE)
    await world.ingest([join()])
    await until(() => remote.received.has(mine.eventId), { what: 'the one that is still sticky' })
    await settled()
    expect([...remote.received.keys()]).to.deep.equal([mine.eventId])
  })

  it('go out once per join: again after a rejoin, and not after a leave', async () => {
    const event = sticky()
    await world.ingest([told, event.item, join()])
    await until(() => remote.received.has(event.eventId), { what: 'the first replay' })
    await settled()
    await world.ingest([leave()])
    await world.ingest([join()])
    await until(() => remote.transactions.length === 2, { what: 'the second replay' })
    await settled()
    expect(remote.transactions.map(({ pduIds }) => pduIds)).to.deep.equal([[event.eventId], [event.eventId]])
    await world.ingest([leave()])
    const later = sticky()
    await world.ingest([later.item])
    await settled()
    expect(remote.received.has(later.eventId)).to.equal(false)
  })

  it('that were sent elsewhere (`to: []`) are owed to future joiners only', async () => {
    await world.ingest([join()])
    const event = world.event(ROOM, { stickyMs: 30 * MINUTE, item: { to: [] } })
    await world.ingest([event.item])
    await settled()
    expect(remote.requests).to.equal(0)
    const joiner = await world.remote()
    await world.ingest([{ type: 'servers', room_id: ROOM, add: [joiner.serverName] }])
    await until(() => joiner.received.has(event.eventId), { what: 'the replay' })
  })

  it('that an answer does not list go again after 15 s, then 30 s, under new ids, while other traffic flows', async () => {
    remote.behave({ kind: 'ok', drops: (_id, pdu) => 'msc4354_sticky' in pdu })
    const event = sticky()
    await world.ingest([join(), event.item])
    const plain = world.event(ROOM)
    await world.ingest([plain.item])
    await until(() => remote.received.has(plain.eventId), { what: 'the plain event' })
    const sent = () => remote.transactions.filter(({ pduIds }) => pduIds.includes(event.eventId)).length
    expect(sent()).to.equal(1)
    await world.quiet()
    await world.moveClock(16_000)
    await until(() => sent() === 2, { what: 'the first repeat' })
    await world.quiet()
    // So that as much time may pass by itself.
    await world.moveClock(10_000)
    const next = world.event(ROOM)
    await world.ingest([next.item])
    await until(() => remote.received.has(next.eventId), { what: 'the next plain event' })
    expect(sent(), 'before 30 s are over').to.equal(2)
    remote.behave({ kind: 'ok' })
    await world.quiet()
    await world.moveClock(21_000)
    await until(() => remote.received.has(event.eventId), { what: 'the second repeat' })
    await world.quiet()
    await world.moveClock(5 * MINUTE)
    const last = world.event(ROOM)
    await world.ingest([last.item])
    await until(() => remote.received.has(last.eventId), { what: 'the last event' })
    expect(sent()).to.equal(3)
    const txnIds = remote.transactions.map(({ txnId }) => txnId)
    expect(new Set(txnIds).size).to.equal(txnIds.length)
  })

  it('are repeated five times at most to a destination that has never listed any', async () => {
    remote.behave({ kind: 'ok', listing: 'empty' })
    const event = sticky(59 * MINUTE)
    await world.ingest([join(), event.item])
    const sent = () => remote.transactions.filter(({ pduIds }) => pduIds.includes(event.eventId)).length
    await until(() => sent() === 1, { what: 'the first send' })
    for (let repeat = 1; repeat <= 5; repeat += 1) {
      await world.quiet()
      await world.moveClock(15_000 * 2 ** (repeat - 1) + 1_000)
      await until(() => sent() === repeat + 1, { what: `repeat ${repeat}` })
      await until(async () => (await world.pool.query('select from open_transactions')).rowCount === 0, {
        what: 'its end',
      })
    }
    await world.quiet()
    await world.moveClock(20 * MINUTE)
    const plain = world.event(ROOM)
    await world.ingest([plain.item])
    await until(() => remote.transactions.some(({ pduIds }) => pduIds.includes(plain.eventId)), {
      what: 'a plain event',
    })
    expect(sent()).to.equal(6)
  })

  it('reach a joiner that is backing off, within seconds of the join', async () => {
    await world.ingest([{ type: 'servers', room_id: '!other:home.example', add: [remote.serverName] }])
    await remote.stop()
    await world.ingest([world.event('!other:home.example').item])
    await until(async () => (await world.pool.query('select from attempts')).rowCount !== 0, {
      what: 'the failure',
    })
    await world.quiet()
    await world.pool
      .query(`update destinations set failures = 9, failing_since = now_ms(), retry_at = now_ms() + 3600000,
                              retry_interval = 3600000, look_at = now_ms() + 3600000`)
    await remote.restart()
    const event = sticky()
    await world.ingest([told, event.item, join()])
    await until(() => remote.received.has(event.eventId), { what: 'the replay' })
  })
})
