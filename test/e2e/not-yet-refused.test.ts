/** What is sent beside a search, and was never refused itself, is asked about as anything is: after three refusals (contract 5.9). */
import { expect } from 'chai'
import { makePdu } from '../../src/matrix/make-pdu.ts'
import { matrixError, ok, tooManyRequests } from '../../src/simulate/fleet/behaviour.ts'
import type { FakeHomeserver } from '../../src/simulate/fleet/fake-homeserver.ts'
import { until } from '../support/poll.ts'
import { actOn, makeTwoRooms, OTHER, ROOM } from './two-rooms.ts'
import { OURS, type SentEvent, type World } from './world.ts'

describe('what is sent beside a search, and was not refused yet', () => {
  let world: World
  let remote: FakeHomeserver
  beforeEach(async () => {
    ;({ world, remote } = await makeTwoRooms())
  })
  afterEach(() => world.stop())

  const give = (events: readonly SentEvent[]) => world.ingest(events.map(({ item }) => item))
  const hasAll = (events: readonly SentEvent[]) => events.every(({ eventId }) => remote.received.has(eventId))
  const count = async (what: string) => (await world.pool.query(what)).rowCount ?? 0

  /**
   * Refuses `poison`, the last of `events`, for good, and `often` times the first of `later`, which comes when `poison` is in a transaction already. Returns what
   * came after `poison` was refused alone: indices of events and then of later ones in each request, and nothing for an empty one.
   */
  async function refused(often: number, { events, later }: Record<'events' | 'later', SentEvent[]>) {
    const [poison, first] = [events.at(-1)!, later[0]!]
    const all = [...events, ...later]
    const others = all.filter((event) => event !== poison)
    const seen: string[] = []
    remote.behave(() => tooManyRequests(100))
    await actOn(world, remote, 'pause')
    await world.released()
    await give(events)
    await actOn(world, remote, 'resume')
    await until(() => remote.requests > 0, { what: 'a request' })
    await give(later)
    let refusals = 0
    remote.behave(({ pduIds }) => {
      if (!hasAll(others))
        seen.push(pduIds.map((id) => all.findIndex(({ eventId }) => eventId === id)).join())
      if (pduIds.includes(poison.eventId)) return matrixError(403, 'M_FORBIDDEN', 'no')
      return pduIds.includes(first.eventId) && (refusals += 1) <= often ? matrixError(500, 'M_UNKNOWN') : ok
    })
    await until(() => hasAll(others), { what: 'all others' })
    await until(async () => (await count('select from apart')) === 1, { what: 'nothing else apart' })
    expect(await count('select from apart where grp is null'), 'set aside').to.equal(1)
    expect(remote.violations).to.deep.equal([])
    return seen.slice(seen.indexOf(`${events.length - 1}`) + 1)
  }

  it('is tried again at its time where it is the rest of a room that waited', async () => {
    const events = Array.from({ length: 8 }, () => world.event(ROOM))
    // What comes for another room goes on, and the position passes what waits.
    const later = [world.event(ROOM), world.event(OTHER)]
    expect(await refused(1, { events, later })).to.deep.equal(['', '8', '8'])
  })

  it('is searched after three refusals in a row, of which the first was that of what was set aside', async () => {
    const events = Array.from({ length: 8 }, () => world.event(ROOM))
    const later = [world.event(ROOM), world.event(ROOM), world.event(OTHER)]
    expect(await refused(2, { events, later })).to.deep.equal(['', '8,9', '8,9', '', '8', '9'])
  })

  it('is tried again at its time where other servers can not read it, and it goes last', async () => {
    const { eventId, pdu } = makePdu(
      {
        ...{ roomId: ROOM, type: 'm.room.message', sender: `@alice:${OURS}`, originServerTs: Date.now() },
        ...{ content: { body: 'x' }, depth: 5, eventId: `$odd:${OURS}` },
      },
      world.key,
      '5',
    )
    const item = { type: 'event', room_id: ROOM, room_version: '5', event_id: eventId }
    const odd = { eventId, item: { ...item, pdu: { ...pdu, unsigned: { weight: 1.5 } } } }
    const events = Array.from({ length: 8 }, () => world.event(OTHER))
    // Something comes with it, and goes before it.
    await world.ingest([{ type: 'servers', room_id: '!third:home.example', add: [remote.serverName] }])
    const later = [odd, world.event('!third:home.example')]
    expect(await refused(1, { events, later })).to.deep.equal(['', '8', '8'])
  })
})
