/** What a search for refused PDUs leaves behind, and what must not come of that (contract 5.9). */
import { expect } from 'chai'
import { errorPage, matrixError, ok, type SeenRequest } from '../../src/simulate/fleet/behaviour.ts'
import type { FakeHomeserver } from '../../src/simulate/fleet/fake-homeserver.ts'
import { wishManyToSkip } from '../../src/store/delivery/skips.ts'
import { until } from '../support/poll.ts'
import { actOn, makeTwoRooms, OTHER, ROOM } from './two-rooms.ts'
import type { SentEvent, World } from './world.ts'

describe('after a search for what a destination refuses', () => {
  let world: World
  let remote: FakeHomeserver
  beforeEach(async () => {
    ;({ world, remote } = await makeTwoRooms())
  })
  afterEach(() => world.stop())

  const act = (verb: string) => actOn(world, remote, verb)
  const give = async (count: number, roomOf: (i: number) => string = () => ROOM) => {
    const events = Array.from({ length: count }, (_, i) => world.event(roomOf(i)))
    await world.ingest(events.map(({ item }) => item))
    return events
  }
  const backlog = async (count: number, roomOf: (i: number) => string = () => ROOM) => {
    await act('pause')
    return give(count, roomOf)
  }
  const refuses =
    (them: readonly SentEvent[]) =>
    ({ pduIds }: SeenRequest) =>
      pduIds.some((id) => them.some(({ eventId }) => eventId === id))
        ? matrixError(403, 'M_FORBIDDEN', 'no')
        : ok
  const hasAll = (events: readonly SentEvent[]) => events.every(({ eventId }) => remote.received.has(eventId))
  const count = async (what: string) => (await world.pool.query(what)).rowCount ?? 0
  const setAside = () => count('select from apart where grp is null')

  it('a night of 500 to all but what is empty sets nothing aside, though a search that is over found something', async () => {
    const events = await backlog(8)
    remote.behave(refuses(events.slice(-1)))
    await act('resume')
    await until(() => hasAll(events.slice(0, -1)), { what: 'the others' })
    await until(async () => (await setAside()) === 1, { what: 'the last one set aside' })
    await world.released()
    remote.behave(({ pduIds }) => (pduIds.length === 0 ? ok : matrixError(500, 'M_UNKNOWN')))
    const later = await give(6, (i) => (i % 2 === 0 ? ROOM : OTHER))
    await until(async () => (await count('select from apart')) > 1, { what: 'the next search' })
    for (let hours = 0; hours < 4; hours += 1) {
      const { requests } = remote
      await world.moveClock(3_600_000)
      await until(() => remote.requests > requests, { what: `a try in hour ${hours + 1}` })
      await world.released()
      expect(await setAside(), 'set aside').to.equal(1)
    }
    remote.behave(ok)
    await act('wake')
    await until(() => hasAll([...events, ...later]), { what: 'everything' })
    expect(remote.violations).to.deep.equal([])
  })

  it('a skip up to a place within a held room leaves what came after it, and that is sent', async () => {
    const events = await backlog(24, (i) => (i % 3 === 0 ? ROOM : OTHER))
    const ofRoom = events.filter((_, i) => i % 3 === 0)
    remote.behave(refuses(ofRoom))
    await act('resume')
    await until(async () => (await count('select from waiting_rooms where held_since is not null')) > 0, {
      what: 'the room held',
    })
    await world.released()
    remote.behave(ok)
    const { rows } = await world.pool.query<{ pos: number }>('select pos from apart order by pos')
    const { rows: ids } = await world.pool.query<{ id: number }>('select id from destinations')
    const upto = rows[2]!.pos
    // As an action on a glob does, which was planned a while ago.
    await wishManyToSkip(world.pool, [{ destination: ids[0]!.id, who: 'somebody', upto }])
    await act('wake')
    await until(async () => (await count('select from skips')) === 1, { what: 'the skip' })
    await until(() => hasAll(ofRoom.slice(3)), { what: 'what came after it' })
    await until(
      async () => (await count('select from apart')) + (await count('select from waiting_rooms')) === 0,
      {
        what: 'that written down',
      },
    )
    expect(remote.violations).to.deep.equal([])
  })

  it('a server that takes no more than one small PDU at once gets them one by one', async () => {
    const events = await backlog(6)
    remote.behave(({ pduIds }) => (pduIds.length > 1 ? errorPage(413) : ok))
    await act('resume')
    await until(() => hasAll(events), { what: 'all of them' })
    expect(await count('select from apart')).to.equal(0)
    expect(remote.violations).to.deep.equal([])
  })
})
