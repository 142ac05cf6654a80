/** What operators do to many destinations at once, with several processes on one database. */
import { expect } from 'chai'
import { matrixError, ok } from '../../src/simulate/fleet/behaviour.ts'
import { until } from '../support/poll.ts'
import { makeWorld, PATIENT, TOKENS, type World } from './world.ts'

const ROOM = '!room:home.example'
const HOUR = 3_600_000
const SLOWLY = {
  ...PATIENT,
  federation: { backoff: { first_ms: HOUR, max_ms: HOUR }, ramp_per_second: 2 },
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
    // The last is due 3.5 s after the first: a machine may stall for two of these, and is still seen not to send all at once.
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

  it('gives up what was owed to a server that is down, also a request under way, and sends what comes later', async () => {
    await world.start(['ingest', 'housekeep'])
    await world.start(['deliver'])
    await world.start(['deliver'])
    const remote = await world.remote()
    const other = await world.remote()
    const name = remote.serverName
    const skip = async () => {
      const path = `/v1/destinations/${name}/skip`
      const { status, body } = await world.request(path, { method: 'POST', token: TOKENS.admin })
      expect(status).to.equal(200)
      return body as { pending_pdus: number }
    }
    remote.behave(matrixError(500, 'M_UNKNOWN'))
    const [failed, waits] = [world.event(ROOM), world.event(ROOM)]
    await world.ingest([{ type: 'servers', room_id: ROOM, add: [name, other.serverName] }, failed.item])
    await until(async () => (await countOf('failures > 0 and lease_owner is null')) === 1, {
      what: 'it to fail',
    })
    await world.ingest([waits.item])
    await until(() => other.received.has(waits.eventId), { what: 'the other to get it' })
    expect(await skip()).to.include({ pending_pdus: 2 })
    await until(async () => (await world.pool.query('select from skips')).rowCount === 1, {
      what: 'the skip',
    })
    const left =
      'select from open_transactions o join destinations d on d.id = o.destination where d.name = $1'
    expect((await world.pool.query(left, [name])).rowCount).to.equal(0)
    const explained = async (id: string) => {
      const { body } = await world.request(`/v1/events/${id}?destination=${name}`, { token: TOKENS.read })
      return (body as { destinations: { outcome: string; why: string | null }[] }).destinations[0]
    }
    for (const { eventId } of [failed, waits]) {
      expect(await explained(eventId)).to.include({ outcome: 'skipped' })
      expect((await explained(eventId))?.why).to.match(/^an operator \(.+\) gave up what was owed/)
    }
    remote.forgive()
    // Asked for while a request is under way: that ends first, with its own answer.
    remote.behave({ kind: 'ok', delayMs: 1_500 })
    const [slow, behind, later] = [world.event(ROOM), world.event(ROOM), world.event(ROOM)]
    await world.ingest([slow.item])
    await world.request(`/v1/destinations/${name}/reset`, { method: 'POST', token: TOKENS.admin })
    const asked = () => remote.transactions.some(({ pduIds }) => pduIds.includes(slow.eventId))
    await until(asked, { what: 'a request under way' })
    await world.ingest([behind.item])
    await skip()
    remote.behave(ok)
    await world.ingest([later.item])
    await until(() => remote.received.has(later.eventId), { what: 'what came later' })
    expect([...remote.received.keys()]).to.deep.equal([slow.eventId, later.eventId])
    expect([...other.received.keys()].slice(-1)).to.deep.equal([later.eventId])
    expect(remote.violations).to.deep.equal([])
    expect(await explained(slow.eventId)).to.include({ outcome: 'delivered' })
    expect(await explained(behind.eventId)).to.include({ outcome: 'skipped' })
  })
})
