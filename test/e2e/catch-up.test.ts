import { expect } from 'chai'
import { nextBatch } from '../../src/deliver/rules/catch-up.ts'
import type { FakeHomeserver } from '../../src/simulate/fleet/fake-homeserver.ts'
import { until } from '../support/poll.ts'
import { makeWorld, PATIENT, type SentEvent, type World } from './world.ts'

const MINUTE = 60_000
/** What takes less than this is young, however slow this machine is. */
const MIN_AGE = 8 * MINUTE

describe('a destination that fell behind', () => {
  let world: World
  let remote: FakeHomeserver
  beforeEach(async () => {
    world = await makeWorld({
      settings: { ...PATIENT, catch_up: { threshold_pdus: 20, min_age_ms: MIN_AGE } },
    })
    await world.start()
    remote = await world.remote()
  })
  afterEach(() => world.stop())

  const room = (n: number) => `!room${n}:home.example`
  const join = (n: number, name = remote.serverName) => ({ type: 'servers', room_id: room(n), add: [name] })
  const idle = () =>
    until(
      async () => {
        const { body } = await world.request(`/v1/destinations/${remote.serverName}`, { token: 'read-token' })
        const { state, position, head } = body as { state: string; position: number; head: number }
        return state === 'idle' && position === head
      },
      { what: 'the destination to be idle at the head' },
    )
  const wake = () =>
    world.request(`/v1/destinations/${remote.serverName}/wake`, { method: 'POST', token: 'admin-token' })
  const ids = (events: SentEvent[]) => events.map(({ eventId }) => eventId)
  const items = (events: SentEvent[]) => events.map(({ item }) => item)

  const answers = async () =>
    (
      await world.pool.query<{ duration_ms: number }>(
        `select duration_ms from attempts where outcome = 'answered' order by seq`,
      )
    ).rows
  const sum = (numbers: number[]) => numbers.reduce((total, n) => total + n, 0)

  it('gets a backlog up to the threshold whole, in stream order', async () => {
    await world.ingest([join(1)])
    await remote.stop()
    const events = Array.from({ length: 20 }, () => world.event(room(1)))
    await world.ingest(items(events))
    await world.quiet()
    await world.moveClock(10 * MINUTE)
    await remote.restart()
    await wake()
    await until(() => remote.received.size === 20, { what: 'all 20' })
    expect([...remote.received.keys()]).to.deep.equal(ids(events))
  })

  it('gets a young backlog whole, however large', async () => {
    await world.ingest([join(1)])
    await remote.stop()
    const events = Array.from({ length: 70 }, () => world.event(room(1)))
    await world.ingest(items(events))
    await remote.restart()
    await wake()
    await until(() => remote.received.size === 70, { what: 'all 70' })
    expect([...remote.received.keys()]).to.deep.equal(ids(events))
  })

  it('gets, of an old and large backlog, unexpired sticky events first and then the newest of each room, oldest first', async () => {
    await world.ingest([join(1), join(2), join(3)])
    await remote.stop()
    const quiet = world.event(room(3), { stickyMs: 30 * MINUTE })
    const lapses = world.event(room(3), { stickyMs: 5 * MINUTE })
    const quietNewest = world.event(room(3))
    const busy = Array.from({ length: 30 }, () => world.event(room(1)))
    const second = Array.from({ length: 10 }, () => world.event(room(2)))
    await world.ingest(items([quiet, lapses, quietNewest, ...busy, ...second]))
    await world.quiet()
    await world.moveClock(10 * MINUTE)
    await remote.restart()
    await wake()
    await idle()
    const expected = ids([quiet, quietNewest, busy[29]!, second[9]!])
    expect([...remote.received.keys()]).to.deep.equal(expected)
    expect(remote.violations).to.deep.equal([])
    const { body } = await world.request(`/v1/events/${encodeURIComponent(lapses.eventId)}`, {
      token: 'read-token',
    })
    expect((body as { destinations: unknown[] }).destinations[0]).to.include({ outcome: 'lapsed' })
    // What comes after goes in real time, and what went as a replay does not go again.
    const after = world.event(room(1))
    await world.ingest([after.item])
    await until(() => remote.received.has(after.eventId), { what: 'the next event' })
    expect(remote.received.size).to.equal(5)
  })

  it('never skips what was addressed to a server outside the room, and sends a kicked server its kick and nothing after', async () => {
    await world.ingest([join(1), join(2)])
    await remote.stop()
    const first = Array.from({ length: 15 }, () => world.event(room(1)))
    const kick = world.event(room(1))
    const secret = Array.from({ length: 15 }, () => world.event(room(1)))
    const rescinded = [1, 2].map(() => world.event(room(4), { item: { to: [remote.serverName] } }))
    const other = Array.from({ length: 10 }, () => world.event(room(2)))
    await world.ingest([
      ...items([...first, kick]),
      { type: 'servers', room_id: room(1), remove: [remote.serverName] },
      ...items([...secret, ...rescinded, ...other]),
    ])
    await world.quiet()
    await world.moveClock(10 * MINUTE)
    await remote.restart()
    await wake()
    await idle()
    expect([...remote.received.keys()]).to.have.members(ids([kick, ...rescinded, other[9]!]))
  })

  it('starts a gap at one room a transaction and doubles', async () => {
    const rooms = Array.from({ length: 12 }, (_, n) => n)
    await world.ingest(rooms.map((n) => join(n)))
    await remote.stop()
    const events = rooms.flatMap((n) => [world.event(room(n)), world.event(room(n))])
    await world.ingest(items(events))
    await world.quiet()
    await world.moveClock(10 * MINUTE)
    await remote.restart()
    await wake()
    await idle()
    // Double after an answer within two seconds, which is no matter of course on a busy machine.
    const sizes: number[] = []
    let batch = 1
    for (const { duration_ms } of await answers()) {
      sizes.push(Math.min(batch, rooms.length - sum(sizes)))
      batch = nextBatch(batch, { durationMs: duration_ms, timedOut: false })
    }
    expect(remote.transactions.map(({ pduIds }) => pduIds.length)).to.deep.equal(sizes)
    expect(sum(sizes)).to.equal(rooms.length)
    expect([...remote.received.keys()]).to.deep.equal(ids(events.filter((_, index) => index % 2 === 1)))
  })
})
