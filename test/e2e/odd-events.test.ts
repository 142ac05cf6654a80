/** What an event that other servers can't read costs the others: nothing (contract 5.9). It goes alone, after everything else that is due. */
import { expect } from 'chai'
import { matrixError, ok, type SeenRequest } from '../../src/simulate/fleet/behaviour.ts'
import type { FakeHomeserver } from '../../src/simulate/fleet/fake-homeserver.ts'
import { makePdu } from '../../src/matrix/make-pdu.ts'
import type { JsonObject } from '../../src/matrix/json-value.ts'
import { until } from '../support/poll.ts'
import { actOn, makeTwoRooms, OTHER, ROOM } from './two-rooms.ts'
import { OURS, type SentEvent, type World } from './world.ts'

describe('an event that other servers can not read', () => {
  let world: World
  let remote: FakeHomeserver
  beforeEach(async () => {
    ;({ world, remote } = await makeTwoRooms())
  })
  afterEach(() => world.stop())

  const act = (verb: string) => actOn(world, remote, verb)
  const make = (version: string, content: JsonObject, unsigned?: object): SentEvent => {
    const { eventId, pdu } = makePdu(
      {
        ...{ roomId: ROOM, type: 'm.room.message', sender: `@alice:${OURS}`, originServerTs: Date.now() },
        ...{ content, depth: 5, eventId: `$odd${Math.random()}:${OURS}` },
      },
      world.key,
      version,
    )
    const item = { type: 'event', room_id: ROOM, room_version: version, event_id: eventId }
    return { eventId, item: { ...item, pdu: unsigned === undefined ? pdu : { ...pdu, unsigned } } }
  }
  const deep = (levels: number) => {
    // Within the event and its content.
    let nested: JsonObject = { n: Math.floor(Math.random() * 1e9) }
    for (let level = 3; level < levels; level += 1) nested = { nested }
    return make('10', { nested })
  }
  /** A number that is no integer, outside what is signed. */
  const fraction = () => make('5', { body: 'x' }, { weight: 1.5 })
  const hasAll = (events: readonly SentEvent[]) => events.every(({ eventId }) => remote.received.has(eventId))
  const withAny = (events: readonly SentEvent[]) =>
    remote.transactions.filter(({ pduIds }) => events.some(({ eventId }) => pduIds.includes(eventId)))
  const orderIn = (room: string) =>
    [...remote.received.values()].filter(({ roomId }) => roomId === room).map(({ eventId }) => eventId)
  const isNothingApart = async () =>
    (await world.pool.query('select destination from apart union all select destination from waiting_rooms'))
      .rowCount === 0
  /** They wait together. */
  const wait = async (events: readonly SentEvent[]) => {
    await act('pause')
    await world.released()
    await world.ingest(events.map(({ item }) => item))
  }

  it('goes alone, after the other rooms, and its own room after it; nothing is lost', async () => {
    const odd = [fraction(), deep(120), fraction()]
    const before = [world.event(ROOM), world.event(OTHER)]
    const after = Array.from({ length: 60 }, (_, i) => world.event(i % 2 === 0 ? ROOM : OTHER))
    const all = [...before, odd[0]!, odd[1]!, ...after, odd[2]!]
    await wait(all)
    await act('resume')
    await until(() => hasAll(all), { what: 'all of them' })
    for (const { pduIds } of withAny(odd)) expect(pduIds).to.have.length(1)
    const of = (room: string) =>
      all.filter(({ item }) => item['room_id'] === room).map(({ eventId }) => eventId)
    expect(orderIn(ROOM)).to.deep.equal(of(ROOM))
    expect(orderIn(OTHER)).to.deep.equal(of(OTHER))
    const place = [...remote.received.keys()]
    expect(place.indexOf(of(OTHER).at(-1)!), 'all of the other room, then').to.be.below(
      place.indexOf(odd[0]!.eventId),
    )
    await until(isNothingApart, { what: 'that written down' })
    expect(remote.violations).to.deep.equal([])
  })

  it('is found by itself where it is refused, while everything else has arrived', async () => {
    const odd = deep(101)
    const others = Array.from({ length: 20 }, () => world.event(OTHER))
    const later = [world.event(ROOM), world.event(ROOM)]
    remote.behave(({ pduIds }: SeenRequest) =>
      pduIds.includes(odd.eventId) ? matrixError(400, 'M_NOT_JSON') : ok,
    )
    await wait([odd, ...others, ...later])
    await act('resume')
    await until(() => hasAll(others), { what: 'the other room' })
    expect(remote.requests, 'without a search').to.be.below(4)
    await until(() => remote.requests > 4, { what: 'a refusal' })
    const more = world.event(OTHER)
    await world.ingest([more.item])
    await until(() => hasAll([more, ...later]), { what: 'its own room' })
    const asides = 'select from apart where grp is null'
    await until(async () => (await world.pool.query(asides)).rowCount === 1, { what: 'it set aside' })
    for (const { pduIds } of withAny([odd])) expect(pduIds).to.have.length(1)
    expect(remote.violations).to.deep.equal([])
  })

  it('of 100 levels goes with the others, and one that comes alone costs nothing', async () => {
    const plain = [deep(100), world.event(ROOM), world.event(OTHER)]
    await wait(plain)
    await act('resume')
    await until(() => hasAll(plain), { what: 'all of them' })
    expect(remote.transactions).to.have.length(1)
    const odd = fraction()
    await world.ingest([odd.item])
    await until(() => hasAll([odd]), { what: 'it' })
    const last = world.event(ROOM)
    await world.ingest([last.item])
    await until(() => hasAll([last]), { what: 'one that comes later' })
    expect(remote.transactions).to.have.length(3)
    expect(await isNothingApart()).to.equal(true)
    expect(remote.violations).to.deep.equal([])
  })

  it('does not wait for ever where there is always something new', async () => {
    const odd = fraction()
    const others = [world.event(OTHER), world.event(OTHER)]
    await wait([odd, ...others])
    // While each request is under way, another event comes.
    let more = 0
    const streams: Promise<unknown>[] = []
    remote.behave(() => {
      if (!remote.received.has(odd.eventId) && (more += 1) < 40) {
        const event = world.event(OTHER)
        others.push(event)
        streams.push(world.ingest([event.item]))
      }
      return { ...ok, delayMs: 100 }
    })
    await act('resume')
    await until(() => hasAll([odd]), { what: 'it' })
    expect(more).to.be.below(10)
    await Promise.all(streams)
    await until(() => hasAll(others), { what: 'the others' })
    expect(remote.violations).to.deep.equal([])
  })
})
