/** One PDU that is refused among large ones, and answers that are not about any PDU: what they cost the others (contract 5.9). */
import { expect } from 'chai'
import {
  errorPage,
  matrixError,
  ok,
  tooManyRequests,
  type Behaviour,
  type SeenRequest,
} from '../../src/simulate/fleet/behaviour.ts'
import type { FakeHomeserver } from '../../src/simulate/fleet/fake-homeserver.ts'
import { until } from '../support/poll.ts'
import { makeWorld, PATIENT, TOKENS, type SentEvent, type World } from './world.ts'

const MINUTE = 60_000
/** What nginx takes by default. */
const NGINX_BYTES = 1_048_576

describe('what is refused for a reason of its own', () => {
  let world: World
  let remote: FakeHomeserver
  let rooms: readonly [string, string]
  let tests = 0
  before(async () => {
    const federation = { backoff: { first_ms: 20, max_ms: 200 } }
    world = await makeWorld({ settings: { internal: PATIENT.internal, federation } })
    await world.start()
  })
  after(() => world.stop())
  beforeEach(async () => {
    tests += 1
    rooms = [`!a${tests}:home.example`, `!b${tests}:home.example`]
    remote = await world.remote()
    for (const room of rooms)
      await world.ingest([{ type: 'servers', room_id: room, add: [remote.serverName] }])
  })
  afterEach(() => {
    console.log(`      ${remote.requests} requests for ${remote.transactions.length} ids`)
    expect(remote.violations).to.deep.equal([])
  })

  const act = (verb: string) =>
    world.request(`/v1/destinations/${remote.serverName}/${verb}`, { method: 'POST', token: TOKENS.admin })
  /** They wait together. */
  const backlog = async (events: readonly SentEvent[]) => {
    await act('pause')
    for (let i = 0; i < events.length; i += 25)
      await world.ingest(events.slice(i, i + 25).map(({ item }) => item))
  }
  const hasAll = (events: readonly SentEvent[]) => events.every(({ eventId }) => remote.received.has(eventId))
  const apart = async () =>
    (
      await world.pool.query<{ grp: number | null; event_id: string; wait: number | null }>(
        `select a.grp, e.event_id, a.next_at - now_ms() as wait from apart a join events e on e.pos = a.pos
           join destinations d on d.id = a.destination where d.name = $1`,
        [remote.serverName],
      )
    ).rows
  const held = async () =>
    (await world.pool.query('select from waiting_rooms where held_since is not null')).rowCount
  const isSetAside = async ({ eventId }: SentEvent) => {
    const rows = await apart()
    return rows.length === 1 && rows[0]?.grp === null && rows[0].event_id === eventId
  }
  const inOrder = (events: readonly SentEvent[]) => {
    const order = [...remote.received.keys()].map((id) => events.findIndex(({ eventId }) => eventId === id))
    const known = order.filter((i) => i >= 0)
    expect(known).to.deep.equal(known.toSorted((a, b) => a - b))
  }

  it('is found among 500 with bodies of about 1 MB, and a sticky event of another room arrives before', async () => {
    const events = Array.from({ length: 500 }, () => world.event(rooms[0], { body: 'x'.repeat(20_000) }))
    const call = world.event(rooms[1], { stickyMs: 5 * MINUTE })
    events.splice(40, 0, call)
    await backlog(events)
    const poison = events[137]!
    remote.behave(({ pduIds }) =>
      pduIds.includes(poison.eventId) ? matrixError(400, 'M_BAD_JSON', 'no') : ok,
    )
    await act('resume')
    const others = events.filter((event) => event !== poison)
    await until(() => hasAll(others), { what: 'all the others' })
    await until(() => isSetAside(poison), { what: 'it alone set aside' })
    inOrder(others.filter((event) => event !== call))
    expect(Math.max(...remote.transactions.map(({ bytes }) => bytes))).to.be.within(900_000, 1_200_000)
    // Eleven transactions without it, and three refusals, halves of 50, and as many empty ones with it.
    expect(remote.requests).to.be.below(45)
  })

  it('is found behind a proxy that takes no more than 1 MB', async () => {
    const sizes = new Map<string, number>()
    const events = Array.from({ length: 60 }, (_, i) => {
      const event = world.event(rooms[i % 2]!, { body: 'x'.repeat(20_000 + (i % 5) * 9_000) })
      sizes.set(event.eventId, JSON.stringify(event.item['pdu']).length)
      return event
    })
    await backlog(events)
    const poison = events[33]!
    let tooLarge = 0
    remote.behave(({ pduIds }): Behaviour => {
      const bytes = pduIds.reduce((sum, id) => sum + (sizes.get(id) ?? 0), 0)
      if (bytes > NGINX_BYTES) {
        tooLarge += 1
        return errorPage(413)
      }
      return pduIds.includes(poison.eventId) ? matrixError(400, 'M_BAD_JSON', 'no') : ok
    })
    await act('resume')
    const others = events.filter((event) => event !== poison)
    await until(() => hasAll(others), { what: 'all the others' })
    await until(() => isSetAside(poison), { what: 'it alone set aside' })
    for (const room of [0, 1]) inOrder(others.filter((event) => events.indexOf(event) % 2 === room))
    expect(tooLarge, 'answered 413').to.be.within(1, 3)
    expect(remote.requests).to.be.below(45)
  })

  const LIMITS: [string, () => Behaviour][] = [
    ['429 with Retry-After', () => tooManyRequests(300)],
    ['429 without', () => matrixError(429, 'M_LIMIT_EXCEEDED')],
    ['403', () => matrixError(403, 'M_FORBIDDEN', 'too many of these')],
    ['503', () => errorPage(503)],
  ]
  for (const [name, limited] of LIMITS)
    it(`sticky events that a limit answers with ${name} while others pass: none waits for longer than half a minute`, async () => {
      const plain = Array.from({ length: 12 }, (_, i) => world.event(rooms[i % 2]!))
      const sticky = Array.from({ length: 4 }, () => world.event(rooms[0], { stickyMs: 20 * MINUTE }))
      await backlog([...plain.slice(0, 6), ...sticky, ...plain.slice(6)])
      const ids = new Set(sticky.map(({ eventId }) => eventId))
      let isOver = false
      let refused = 0
      const isBusy = name.startsWith('429')
      remote.behave(({ pduIds }: SeenRequest) => {
        if (isOver || !pduIds.some((id) => ids.has(id))) return ok
        refused += 1
        // A limit of this kind is for a while.
        if (isBusy && refused === 4) isOver = true
        return limited()
      })
      await act('resume')
      const longest = async () => {
        const waits = (await apart()).flatMap(({ grp, wait }) => (grp === null ? [wait ?? Infinity] : []))
        return waits.length === 0 ? 0 : Math.max(...waits)
      }
      if (!isBusy) {
        await until(() => hasAll(plain), { what: 'all that is plain' })
        await until(async () => (await apart()).filter(({ grp }) => grp === null).length === 4, {
          what: 'the others set aside',
        })
        await world.released()
        expect(await longest(), 'the longest wait, ms').to.be.within(1, 30_000)
        isOver = true
        await world.moveClock(30_000)
      }
      await until(() => hasAll([...plain, ...sticky]), { what: 'everything' })
      if (isBusy) expect(await apart()).to.deep.equal([])
      expect(await held(), 'held rooms').to.equal(0)
      for (const room of [0, 1]) inOrder(plain.filter((_, i) => i % 2 === room))
      expect(remote.requests).to.be.below(isBusy ? 8 : 110)
    })

  it('beside `pdus: {}` in every answer, is found, and nothing else is concluded', async () => {
    const events = Array.from({ length: 20 }, (_, i) => world.event(rooms[i % 2]!))
    const call = world.event(rooms[1], { stickyMs: 20 * MINUTE })
    await backlog([...events, call])
    const poison = events[6]!
    remote.behave(({ pduIds }) =>
      pduIds.includes(poison.eventId)
        ? matrixError(400, 'M_BAD_JSON', 'no')
        : { kind: 'ok', listing: 'empty' },
    )
    await act('resume')
    const others = [...events.filter((event) => event !== poison), call]
    await until(() => hasAll(others), { what: 'all the others' })
    await until(() => isSetAside(poison), { what: 'it alone set aside' })
    for (const room of [0, 1]) inOrder(events.filter((event, i) => event !== poison && i % 2 === room))
    const { requests } = remote
    expect(requests).to.be.below(35)
    await world.released()
    await world.moveClock(16_000)
    await until(() => (remote.received.get(call.eventId)?.times ?? 0) > 1, { what: 'the sticky event again' })
    expect(await held(), 'held rooms').to.equal(0)
  })
})
