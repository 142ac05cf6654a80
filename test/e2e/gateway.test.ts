/** What a proxy before a destination costs that refuses at random, or always the same: no other event anything (contract 5.9). */
import { expect } from 'chai'
import { errorPage, ok, type SeenRequest } from '../../src/simulate/fleet/behaviour.ts'
import type { FakeHomeserver } from '../../src/simulate/fleet/fake-homeserver.ts'
import { seeded } from '../chaos/random.ts'
import { until } from '../support/poll.ts'
import { makeWorld, PATIENT, type SentEvent, type World } from './world.ts'

const ROOMS = ['!a:home.example', '!b:home.example', '!c:home.example', '!d:home.example']
/** Of the answers of each remote, those to empty transactions too, so many are a 502. */
const SHARES = [0.4, 0.55, 0.55]

describe('a gateway that answers 502', () => {
  let world: World
  beforeEach(async () => {
    const backoff = { first_ms: 20, max_ms: 200 }
    world = await makeWorld({
      settings: { internal: PATIENT.internal, federation: { max_pdus: 6, backoff } },
    })
    await world.start()
  })
  afterEach(() => world.stop())

  const join = async (remotes: readonly FakeHomeserver[]) => {
    const add = remotes.map(({ serverName }) => serverName)
    await world.ingest(ROOMS.map((room) => ({ type: 'servers', room_id: room, add })))
  }
  const hasAll = ({ received }: FakeHomeserver, events: readonly SentEvent[]) =>
    events.every(({ eventId }) => received.has(eventId))
  const checkOrder = ({ received }: FakeHomeserver, events: readonly SentEvent[]) => {
    for (const room of ROOMS) {
      const order = [...received.values()]
        .filter(({ roomId }) => roomId === room)
        .map(({ eventId }) => events.findIndex((event) => event.eventId === eventId))
      expect(order, room).to.deep.equal(order.toSorted((a, b) => a - b))
    }
  }
  const setAside = async () =>
    (await world.pool.query<{ pos: number }>('select pos from apart where grp is null')).rows.map(
      ({ pos }) => pos,
    )

  it('at random: 200 events of four rooms arrive in order, without a wait of an hour, and none is set aside', async () => {
    const remotes = await Promise.all(SHARES.map(() => world.remote()))
    for (const [i, remote] of remotes.entries()) {
      const random = seeded(i + 1)
      remote.behave(() => (random() < SHARES[i]! ? errorPage(502) : ok))
    }
    await join(remotes)
    const events: SentEvent[] = []
    for (let batch = 0; batch < 50; batch += 1) {
      const some = ROOMS.map((room) => world.event(room))
      events.push(...some)
      await world.ingest(some.map(({ item }) => item))
    }
    const began = performance.now()
    const aside = new Set<number>()
    await until(
      async () => {
        for (const pos of await setAside()) aside.add(pos)
        return remotes.every((remote) => hasAll(remote, events))
      },
      { what: 'all of them' },
    )
    for (const remote of remotes) {
      checkOrder(remote, events)
      expect(remote.violations).to.deep.equal([])
    }
    expect([...aside], 'set aside at some time').to.deep.equal([])
    const counts = remotes.map(({ requests, transactions }) => `${requests} for ${transactions.length} ids`)
    console.log(
      `      requests: ${counts.join(', ')}; ${((performance.now() - began) / 1000).toFixed(1)} s after the last event`,
    )
  })

  it('to one PDU, each time: it is set aside after three times alone, and its room keeps its order', async () => {
    const remote = await world.remote()
    await join([remote])
    const pause = (verb: string) =>
      world.request(`/v1/destinations/${remote.serverName}/${verb}`, { method: 'POST', token: 'admin-token' })
    await pause('pause')
    const events = Array.from({ length: 24 }, (_, i) => world.event(ROOMS[i % 4]!))
    await world.ingest(events.map(({ item }) => item))
    const poison = events[8]!.eventId
    let alone = 0
    let emptyAfter = 0
    let wasAlone = false
    remote.behave(({ pduIds, repeated }: SeenRequest) => {
      if (pduIds.length === 0 && wasAlone) emptyAfter += 1
      wasAlone = pduIds.length === 1 && pduIds[0] === poison
      if (wasAlone && !repeated) alone += 1
      return pduIds.includes(poison) ? errorPage(502) : ok
    })
    await pause('resume')
    const others = events.filter(({ eventId }) => eventId !== poison)
    await until(() => hasAll(remote, others), { what: 'all the others' })
    await until(async () => (await setAside()).length === 1, { what: 'it set aside' })
    expect([alone, emptyAfter], 'ids that held it alone, and empty ones after them').to.deep.equal([3, 3])
    checkOrder(remote, others)
    expect(remote.violations).to.deep.equal([])
    // Three levels of halves and three times alone, each asked about after its third refusal.
    console.log(`      ${remote.requests} requests`)
    expect(remote.requests, 'requests').to.be.below(50)
  })
})
