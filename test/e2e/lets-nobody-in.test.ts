/**
 * A destination that answers everything by 401 or 403, an empty transaction too (contract 5.9, state `refused`): nothing is concluded from that, it
 * is left alone for longer and longer, and it gets everything when it lets us in.
 */
import { expect } from 'chai'
import {
  errorPage,
  matrixError,
  ok,
  type Behaves,
  type SeenRequest,
} from '../../src/simulate/fleet/behaviour.ts'
import type { FakeHomeserver } from '../../src/simulate/fleet/fake-homeserver.ts'
import { until } from '../support/poll.ts'
import { actOn, makeTwoRooms, OTHER, ROOM } from './two-rooms.ts'
import type { SentEvent, World } from './world.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const UNAUTHORIZED = matrixError(401, 'M_UNAUTHORIZED', 'Signature verification failed')

describe('a destination that lets nobody in', () => {
  let world: World
  let remote: FakeHomeserver
  let events: SentEvent[]
  beforeEach(async () => {
    ;({ world, remote } = await makeTwoRooms())
    const before = world.event(ROOM)
    await world.ingest([before.item])
    await until(() => hasAll([before]), { what: 'what came before' })
    await world.quiet()
    // They wait together, of two rooms.
    await act('pause')
    events = Array.from({ length: 60 }, (_, i) => world.event(i % 2 === 0 ? ROOM : OTHER))
    await world.ingest(events.map(({ item }) => item))
  })
  afterEach(async () => {
    const { requests, transactions, violations } = remote
    await world.stop()
    console.log(`      ${requests} requests for ${transactions.length} ids`)
    expect(violations).to.deep.equal([])
  })

  const act = (verb: string) => actOn(world, remote, verb)
  const hasAll = (those: readonly SentEvent[]) => those.every(({ eventId }) => remote.received.has(eventId))
  const apart = async () =>
    (await world.pool.query<{ grp: number | null }>('select grp from apart order by pos')).rows
  interface Waits {
    failures: number
    interval: number | null
    retryAt: number
    due: number
  }
  const waits = async () =>
    (
      await world.pool.query<Waits>(
        `select failures, retry_interval as interval, retry_at as "retryAt", retry_at - now_ms() as due from destinations`,
      )
    ).rows[0]!
  /** It waits for so many hours, ± 20 %, and nothing is under way. */
  const waitsFor = async (hours: number) => {
    await until(async () => (await waits()).interval === hours * HOUR, { what: `a wait of ${hours} h` })
    await world.released()
    return waits()
  }
  const state = async () =>
    (
      (await world.request(`/v1/destinations/${remote.serverName}`, { token: 'read-token' })).body as {
        state: string
      }
    ).state
  const inOrder = (room: string) => {
    const order = [...remote.received.values()]
      .filter(({ roomId }) => roomId === room)
      .map(({ eventId }) => events.findIndex((event) => event.eventId === eventId))
      .filter((i) => i >= 0)
    expect(order).to.deep.equal(order.toSorted((a, b) => a - b))
  }
  /** Everything has arrived, once, in order, and nothing is left of what was known of it. */
  const allIsWell = async (those: readonly SentEvent[] = events) => {
    await until(() => hasAll(those), { what: 'everything' })
    await world.quiet()
    for (const room of [ROOM, OTHER]) inOrder(room)
    expect([...remote.received.values()].filter(({ times }) => times > 1)).to.deep.equal([])
    expect(await apart()).to.deep.equal([])
    expect((await world.pool.query('select from waiting_rooms')).rowCount).to.equal(0)
    expect((await world.pool.query('select from skips')).rowCount).to.equal(0)
    expect(await state()).to.equal('idle')
    const { failures, interval } = await waits()
    expect({ failures, interval }).to.deep.equal({ failures: 0, interval: null })
  }

  const LOCKS: [string, Behaves][] = [
    ['401 M_UNAUTHORIZED', UNAUTHORIZED],
    ['401 M_FORBIDDEN', matrixError(401, 'M_FORBIDDEN')],
    ['the page of a proxy with 401', errorPage(401)],
    [
      '403 M_FORBIDDEN, but 401 to what is empty',
      ({ pduIds }: SeenRequest) => (pduIds.length === 0 ? UNAUTHORIZED : matrixError(403, 'M_FORBIDDEN')),
    ],
  ]
  for (const [answer, behaviour] of LOCKS)
    it(`by ${answer}, for a night: nothing is concluded, and it gets everything at its next attempt`, async () => {
      remote.behave(behaviour)
      const before = remote.requests
      await act('resume')
      await waitsFor(1)
      expect(remote.requests - before, 'three tries and an empty one').to.equal(4)
      for (const hours of [2, 4, 8]) {
        const { requests } = remote
        await world.moveClock((await waits()).due + 100)
        await waitsFor(hours)
        expect(remote.requests - requests, 'a try and an empty one').to.equal(2)
        expect(await state()).to.equal('refused')
        expect(await apart()).to.deep.equal([])
      }
      const tried = remote.transactions.filter(({ pduIds }) => pduIds.length > 0).at(-1)!
      const { requests } = remote
      remote.behave(ok)
      await world.moveClock((await waits()).due + 100)
      await allIsWell()
      expect(remote.requests - requests, 'requests for 60 events').to.equal(2)
      expect(remote.transactions.filter(({ txnId }) => txnId === tried.txnId)).to.have.length(1)
    })

  it('and is let alone until an operator resets it: then everything goes at once', async () => {
    remote.behave(UNAUTHORIZED)
    await act('resume')
    await waitsFor(1)
    const { requests } = remote
    const later = [world.event(ROOM), world.event(OTHER)]
    await world.ingest(later.map(({ item }) => item))
    await world.moveClock(40 * MINUTE)
    await world.released()
    remote.behave(ok)
    await act('reset')
    await allIsWell([...events, ...later])
    expect(remote.requests - requests, 'requests for 62 events').to.equal(2)
  })

  it('by 401 in the middle of a search, for a night: nothing is concluded, and the search ends when it lets us in', async () => {
    const poison = events[7]!.eventId
    let halves = 0
    remote.behave(({ pduIds }) => {
      if (halves > 1) return UNAUTHORIZED
      if (!pduIds.includes(poison)) return ok
      if (pduIds.length < 40) halves += 1
      return halves > 1 ? UNAUTHORIZED : matrixError(400, 'M_BAD_JSON', 'no')
    })
    const before = remote.requests
    await act('resume')
    await waitsFor(1)
    const inSearch = (await apart()).length
    expect(inSearch, 'PDUs under search').to.be.above(1)
    const search = remote.requests - before
    for (const hours of [2, 4, 8]) {
      const { requests } = remote
      await world.moveClock((await waits()).due + 100)
      await waitsFor(hours)
      expect(remote.requests - requests, 'a try and an empty one').to.equal(2)
      expect(await apart()).to.have.length(inSearch)
      expect((await apart()).filter(({ grp }) => grp === null)).to.deep.equal([])
    }
    remote.behave(({ pduIds }) => (pduIds.includes(poison) ? matrixError(400, 'M_BAD_JSON', 'no') : ok))
    const { requests } = remote
    await world.moveClock((await waits()).due + 100)
    await until(() => hasAll(events.filter(({ eventId }) => eventId !== poison)), { what: 'all the others' })
    await until(async () => (await apart()).length === 1 && (await apart())[0]!.grp === null, {
      what: 'it alone set aside',
    })
    await world.released()
    for (const room of [ROOM, OTHER]) inOrder(room)
    console.log(
      `      ${search} requests of the search before, 6 of the night, ${remote.requests - requests} after it`,
    )
    expect(search + remote.requests - requests, 'requests of the whole search').to.be.below(40)
  })

  it('is tried for a sticky event before that lapses, and its wait stays as it was', async () => {
    remote.behave(UNAUTHORIZED)
    await act('resume')
    const before = await waitsFor(1)
    const { rows } = await world.pool.query<{ now: number }>('select now_ms() as now')
    const { requests } = remote
    const call = world.event(ROOM, { originServerTs: rows[0]!.now, stickyMs: 20 * MINUTE })
    await world.ingest([call.item])
    await until(() => remote.requests === requests + 2, { what: 'a try at once, and an empty one' })
    await world.released()
    for (const minutes of [10, 5, 2.5]) {
      const had = remote.requests
      await world.moveClock(minutes * MINUTE)
      await until(() => remote.requests === had + 2, { what: `a try after ${minutes} min more` })
      await world.released()
      const { failures, interval, retryAt } = await waits()
      expect({ failures, interval, retryAt }).to.deep.equal({
        ...{ failures: before.failures, interval: HOUR, retryAt: before.retryAt },
      })
      expect(await state()).to.equal('refused')
    }
    remote.behave(ok)
    // 15/16 of its life.
    await world.moveClock(1.25 * MINUTE)
    await allIsWell([...events, call])
  })
})
