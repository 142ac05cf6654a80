/** What one PDU that a destination refuses costs the others: nothing (contract 5.9). */
import { expect } from 'chai'
import { errorPage, matrixError, ok, type SeenRequest } from '../../src/simulate/fleet/behaviour.ts'
import type { FakeHomeserver } from '../../src/simulate/fleet/fake-homeserver.ts'
import { until } from '../support/poll.ts'
import { actOn, makeTwoRooms, OTHER, ROOM } from './two-rooms.ts'
import type { SentEvent, World } from './world.ts'

const MINUTE = 60_000

describe('a PDU that a destination refuses', () => {
  let world: World
  let remote: FakeHomeserver
  beforeEach(async () => {
    ;({ world, remote } = await makeTwoRooms())
  })
  afterEach(() => world.stop())

  const act = (verb: string) => actOn(world, remote, verb)
  /** So many in one go: they wait together. */
  const backlog = async (count: number, roomOf: (i: number) => string = () => ROOM) => {
    await act('pause')
    const events = Array.from({ length: count }, (_, i) => world.event(roomOf(i)))
    await world.ingest(events.map(({ item }) => item))
    return events
  }
  const refuses =
    (status: number, ids: readonly string[]) =>
    ({ pduIds }: SeenRequest) =>
      pduIds.some((id) => ids.includes(id)) ? matrixError(status, 'M_FORBIDDEN', 'no') : ok
  const hasAll = (events: readonly SentEvent[]) => events.every(({ eventId }) => remote.received.has(eventId))
  const apart = async () =>
    (
      await world.pool.query<{ pos: number; grp: number | null; tries: number; next_at: number | null }>(
        'select pos, grp, tries, next_at from apart order by pos',
      )
    ).rows

  for (const status of [400, 403, 500])
    it(`is found among 50 by ${status}, set aside, and everything else arrives in order`, async () => {
      const events = await backlog(50, (i) => (i % 2 === 0 ? ROOM : OTHER))
      const poison = events[23]!.eventId
      remote.behave(refuses(status, [poison]))
      await act('resume')
      const others = events.filter(({ eventId }) => eventId !== poison)
      await until(() => hasAll(others), { what: 'all the others' })
      await until(async () => (await apart()).map(({ grp }) => grp).join() === '', {
        what: 'it alone set aside',
      })
      expect(await apart()).to.have.length(1)
      expect(remote.violations).to.deep.equal([])
      expect(remote.requests, 'requests').to.be.below(35)
      const inRoom = (room: string) => [...remote.received.values()].filter(({ roomId }) => roomId === room)
      for (const room of [ROOM, OTHER]) {
        const order = inRoom(room).map(({ eventId }) =>
          events.findIndex((event) => event.eventId === eventId),
        )
        expect(order).to.deep.equal(order.toSorted((a, b) => a - b))
      }
      if (status !== 403) return
      // It goes on as ever.
      const later = world.event(ROOM)
      await world.ingest([later.item])
      await until(() => hasAll([later]), { what: 'one that comes later' })
      const before = remote.requests
      await world.released()
      await world.moveClock(16 * MINUTE)
      await until(() => remote.requests > before, { what: 'it tried again' })
      await until(async () => (await apart())[0]?.tries === 1, { what: 'that it was tried' })
      remote.behave(ok)
      await world.moveClock(31 * MINUTE)
      await until(() => hasAll(events), { what: 'it, when it is taken' })
      await until(async () => (await apart()).length === 0, { what: 'that written down' })
      expect(remote.violations).to.deep.equal([])
    })

  it('a server that answers 200 to what is empty and 500 to all else concludes nothing, and gets everything in order when it is well', async () => {
    const events = await backlog(12, (i) => (i % 2 === 0 ? ROOM : OTHER))
    remote.behave(({ pduIds }) => (pduIds.length === 0 ? ok : matrixError(500, 'M_UNKNOWN')))
    await act('resume')
    await until(() => remote.requests >= 16, { what: 'a search that finds nothing' })
    const asAside = 'select from apart where grp is null'
    for (let hours = 0; hours < 8; hours += 1) {
      await world.moveClock(3_600_000)
      const { requests } = remote
      await until(() => remote.requests > requests, { what: `a try in hour ${hours + 1}` })
      await world.released()
      expect((await world.pool.query(asAside)).rowCount, 'set aside').to.equal(0)
    }
    expect(remote.requests, 'requests of the night').to.be.below(120)
    remote.behave(ok)
    await act('wake')
    await until(() => hasAll(events), { what: 'everything' })
    await until(async () => (await apart()).length === 0, { what: 'that written down' })
    expect(remote.violations).to.deep.equal([])
  })

  it('a 502 in the middle of a search, and for a night, concludes nothing', async () => {
    const events = await backlog(20)
    const poison = events[7]!.eventId
    let down = false
    remote.behave((seen) => (down ? errorPage(502) : refuses(500, [poison])(seen)))
    await act('resume')
    await until(async () => (await apart()).length > 0 && (await apart()).length < 20, {
      what: 'a search under way',
    })
    down = true
    for (let hours = 0; hours < 3; hours += 1) {
      const { requests } = remote
      await world.moveClock(3_600_000)
      await until(() => remote.requests > requests, { what: 'a try' })
      await world.released()
    }
    expect(
      (await apart()).every(({ grp }) => grp !== null),
      'nothing is set aside',
    ).to.equal(true)
    down = false
    await act('wake')
    await until(() => hasAll(events.filter(({ eventId }) => eventId !== poison)), { what: 'all the others' })
    expect(remote.violations).to.deep.equal([])
  })

  it('403 to everything, an empty transaction too, concludes nothing: it is tried in an hour, then in two', async () => {
    const events = await backlog(3)
    remote.behave(matrixError(403, 'M_FORBIDDEN'))
    await act('resume')
    const waits = async () =>
      (
        await world.pool.query<{ interval: number | null }>(
          'select retry_interval as interval from destinations',
        )
      ).rows[0]?.interval
    await until(async () => (await waits()) === 3_600_000, { what: 'the first wait' })
    await world.released()
    expect(remote.requests, 'three tries and an empty one').to.equal(4)
    await world.moveClock(80 * MINUTE)
    await until(async () => (await waits()) === 7_200_000, { what: 'the second wait' })
    expect(await apart()).to.deep.equal([])
    remote.behave(ok)
    await act('wake')
    await until(() => hasAll(events), { what: 'everything' })
    expect(remote.violations).to.deep.equal([])
  })

  it('a proxy that takes no more than so many bytes teaches a limit, without a search', async () => {
    const body = 'x'.repeat(40_000)
    await act('pause')
    const events = Array.from({ length: 30 }, () => world.event(ROOM, { body }))
    await world.ingest(events.map(({ item }) => item))
    let largest = 0
    remote.behave(({ pduIds }) => {
      if (pduIds.length > 8) return errorPage(413)
      largest = Math.max(largest, pduIds.length)
      return ok
    })
    await act('resume')
    await until(() => hasAll(events), { what: 'all of them' })
    expect(largest).to.be.within(4, 8)
    expect(remote.violations).to.deep.equal([])
    expect(await apart()).to.deep.equal([])
    const { requests } = remote
    const later = world.event(ROOM, { body })
    await world.ingest([later.item])
    await until(() => hasAll([later]), { what: 'one that comes later' })
    expect(remote.requests).to.equal(requests + 1)
  })

  it('a room of which three are refused is held, alone, and goes on when it is taken again', async () => {
    const events = await backlog(24, (i) => (i % 3 === 0 ? ROOM : OTHER))
    const ofRoom = events.filter((_, i) => i % 3 === 0)
    const others = events.filter((_, i) => i % 3 !== 0)
    const refused = new Set(ofRoom.map(({ eventId }) => eventId))
    let misses = true
    remote.behave(({ pduIds }) =>
      misses && pduIds.some((id) => refused.has(id)) ? matrixError(500, 'M_UNKNOWN') : ok,
    )
    await act('resume')
    await until(() => hasAll(others), { what: 'all of the other room' })
    const isHeld = async () =>
      ((await world.pool.query('select from waiting_rooms where held_since is not null')).rowCount ?? 0) > 0
    await until(isHeld, { what: 'the room held' })
    const later = [world.event(ROOM), world.event(OTHER)]
    refused.add(later[0]!.eventId)
    await world.ingest(later.map(({ item }) => item))
    await until(() => hasAll(later.slice(1)), { what: 'one of the other room' })
    misses = false
    await world.released()
    await world.moveClock(16 * MINUTE)
    await until(() => hasAll([...events, ...later]), { what: 'all of the room that was held' })
    const order = [...remote.received.values()]
      .filter(({ roomId }) => roomId === ROOM)
      .map(({ eventId }) => eventId)
    expect(order).to.deep.equal([...ofRoom, later[0]!].map(({ eventId }) => eventId))
    expect(remote.violations).to.deep.equal([])
  })

  it('a destination in one room, whose first PDU is refused, gets the rest of the room', async () => {
    const events = await backlog(1)
    const poison = events[0]!.eventId
    remote.behave(refuses(400, [poison]))
    await act('resume')
    await until(async () => (await apart()).length > 0, { what: 'the search' })
    const later = [world.event(ROOM), world.event(ROOM)]
    await world.ingest(later.map(({ item }) => item))
    await until(() => hasAll(later), { what: 'the rest of the room' })
    await until(async () => (await apart()).map(({ grp }) => grp).join() === '', { what: 'it set aside' })
    expect(remote.violations).to.deep.equal([])
  })

  it('a sticky event that is refused by itself is tried every half minute, up to its lapse', async () => {
    const events = await backlog(6)
    const call = world.event(ROOM, { stickyMs: 20 * MINUTE })
    await world.ingest([call.item])
    let limited = true
    remote.behave(({ pduIds }) =>
      limited && pduIds.includes(call.eventId) ? matrixError(403, 'M_FORBIDDEN') : ok,
    )
    await act('resume')
    await until(() => hasAll(events), { what: 'the others' })
    await until(async () => (await apart()).some(({ grp }) => grp === null), { what: 'it set aside' })
    await world.released()
    const { requests } = remote
    await world.moveClock(31_000)
    await until(() => remote.requests > requests, { what: 'a try after half a minute' })
    limited = false
    await world.released()
    await world.moveClock(61_000)
    await until(() => hasAll([call]), { what: 'it' })
    expect(remote.violations).to.deep.equal([])
  })
})
