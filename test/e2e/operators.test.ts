/** What operators do to many destinations at once, with several processes on one database. */
import { expect } from 'chai'
import { matrixError, ok } from '../../src/simulate/fleet/behaviour.ts'
import { until } from '../support/poll.ts'
import { makeWorld, PATIENT, TOKENS, type World } from './world.ts'

const ROOM = '!room:home.example'
const HOUR = 3_600_000
const SLOWLY = {
  ...PATIENT,
  federation: { backoff: { first_ms: HOUR, max_ms: HOUR }, ramp_per_second: 5 },
}

describe('an operator and many destinations', () => {
  let world: World
  beforeEach(async () => {
    world = await makeWorld({ settings: SLOWLY })
  })
  afterEach(() => world.stop())

  const act = async (body: object) => {
    const { status, body: answer } = await world.request('/v1/actions', {
      method: 'POST',
      token: TOKENS.admin,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    expect(status, JSON.stringify(answer)).to.equal(200)
    return answer as { matched: number }
  }
  const countOf = async (condition: string) =>
    (await world.pool.query(`select from destinations where ${condition}`)).rowCount

  it('has all of them tried at the ramp, also where a process ends in the middle', async () => {
    await world.start(['ingest', 'housekeep'])
    const first = await world.start(['deliver'])
    const remotes = await Promise.all(Array.from({ length: 8 }, () => world.remote()))
    for (const remote of remotes) remote.behave(matrixError(500, 'M_UNKNOWN'))
    const event = world.event(ROOM)
    await world.ingest([
      { type: 'servers', room_id: ROOM, add: remotes.map(({ serverName }) => serverName) },
      event.item,
    ])
    await until(async () => (await countOf('failures > 0 and lease_owner is null')) === 8, {
      what: 'all to fail',
    })
    for (const remote of remotes) remote.behave(ok)
    expect((await act({ action: 'reset', glob: '127.0.0.1' })).matched).to.equal(8)
    const have = () => remotes.filter(({ received }) => received.has(event.eventId)).length
    await until(() => have() > 0, { what: 'the first' })
    const began = performance.now()
    expect(have(), 'all at once').to.be.below(5)
    await first.stop()
    await world.start(['deliver'])
    await until(() => have() === 8, { what: 'all of them' })
    // The last is due 1.4 s after the first; each look for what is due finds what half a second brought.
    expect(performance.now() - began).to.be.above(500)
    for (const { transactions } of remotes) {
      const answered = transactions.filter(({ pduIds }) => pduIds.includes(event.eventId))
      expect(answered.map(({ requestsAt }) => requestsAt.length)).to.deep.equal([2])
    }
  })

  it('pauses and resumes all that match, whichever process has them', async () => {
    await world.start(['ingest', 'housekeep'])
    await world.start(['deliver'])
    await world.start(['deliver'])
    const remotes = await Promise.all(Array.from({ length: 6 }, () => world.remote()))
    const add = remotes.map(({ serverName }) => serverName)
    const before = world.event(ROOM)
    await world.ingest([{ type: 'servers', room_id: ROOM, add }, before.item])
    const have = (id: string) => remotes.filter(({ received }) => received.has(id)).length
    await until(() => have(before.eventId) === 6, { what: 'the first event' })
    await act({ action: 'pause', glob: '127.*' })
    const during = world.event(ROOM)
    await world.ingest([during.item])
    await world.released()
    expect(have(during.eventId)).to.equal(0)
    await act({ action: 'resume', glob: '127.*' })
    await until(() => have(during.eventId) === 6, { what: 'what was owed' })
  })
})
