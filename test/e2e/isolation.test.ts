/** What one PDU that a destination refuses costs the others: nothing (contract 5.9). */
import { expect } from 'chai'
import { matrixError, ok, type SeenRequest } from '../../src/simulate/fleet/behaviour.ts'
import type { FakeHomeserver } from '../../src/simulate/fleet/fake-homeserver.ts'
import { until } from '../support/poll.ts'
import { makeWorld, PATIENT, type SentEvent, type World } from './world.ts'

const MINUTE = 60_000
const ROOM = '!room:home.example'
const OTHER = '!other:home.example'

describe('a PDU that a destination refuses', () => {
  let world: World
  let remote: FakeHomeserver
  beforeEach(async () => {
    world = await makeWorld({ settings: { internal: PATIENT.internal } })
    await world.start()
    remote = await world.remote()
    for (const room of [ROOM, OTHER])
      await world.ingest([{ type: 'servers', room_id: room, add: [remote.serverName] }])
  })
  afterEach(() => world.stop())

  const act = (verb: string) =>
    world.request(`/v1/destinations/${remote.serverName}/${verb}`, { method: 'POST', token: 'admin-token' })
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
})
