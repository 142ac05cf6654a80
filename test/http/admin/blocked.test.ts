/** What operators see of a destination that the lists of names block, and what they can do about it. */
import { expect } from 'chai'
import { makeVetDomain } from '../../../src/allow/domains.ts'
import { makeSituation, type Situation } from '../../store/views/situation.ts'
import { makeAdminApp, type AdminApp } from './app.ts'

const D = 'a.blocked.example:8448'
const path = `/v1/destinations/${D}`
const WHY = '*.blocked.example is in federation.domain_denylist'
type Rows = Record<string, unknown>[]

describe('a destination that the configuration blocks', () => {
  let s: Situation
  let app: AdminApp
  before(async () => {
    s = await makeSituation()
    app = makeAdminApp(s, {
      vetDomain: makeVetDomain({ allowlist: null, denylist: ['*.blocked.example'] }),
    })
  })
  beforeEach(async () => {
    await s.reset()
    app.woken.length = 0
    // Its own name is not below itself.
    for (const name of [D, 'blocked.example', 'c.example:1']) await s.server(name)
  })
  after(async () => {
    await app.close()
    await s.close()
  })
  const seen = async () => (await app.get(path)).body

  it('says so before anything else, with the entry of the list, and has no next attempt', async () => {
    expect(await seen()).to.include({ state: 'blocked', reason: `nothing is sent to it, because ${WHY}` })
    await s.member(D, 'a')
    await s.event(1, 'a')
    await s.change(D, {
      paused: true,
      failures: 2,
      failing_since: 1,
      retry_at: Date.now() + 60_000,
      retry_interval: 60_000,
    })
    expect(await seen()).to.include({
      state: 'blocked',
      reason: `nothing is sent to it, because ${WHY}; owed: 1 PDU`,
      next_attempt: null,
      failing_since: 1,
    })
  })

  it('is found by its state, is in no other, and is counted', async () => {
    await s.change('c.example:1', { paused: true })
    await s.change(D, { paused: true })
    const named = async (state: string) =>
      ((await app.get(`/v1/destinations?state=${state}`)).body['destinations'] as Rows).map(
        ({ destination, reason }) => [destination, reason],
      )
    expect(await named('blocked')).to.deep.equal([[D, `nothing is sent to it, because ${WHY}`]])
    expect((await named('paused')).map(([name]) => name)).to.deep.equal(['c.example:1'])
    expect((await named('idle')).map(([name]) => name)).to.deep.equal(['blocked.example'])
    const all = (await app.get('/v1/destinations')).body['destinations'] as Rows
    expect(all.map(({ state }) => state)).to.deep.equal(['blocked', 'idle', 'paused'])
    expect((await app.get('/v1/status')).body['destinations']).to.deep.equal({
      ...{ idle: 1, sending: 0, catching_up: 0, backing_off: 0, refused: 0, dead: 0 },
      ...{ paused: 1, blocked: 1 },
    })
  })

  it('is why an event is pending', async () => {
    await s.member(D, 'a')
    await s.event(1, 'a')
    const { body } = await app.get('/v1/events/$1')
    const [line] = body['destinations'] as Rows
    expect(line).to.include({ destination: D, outcome: 'pending' })
    expect(line?.['why']).to.match(/; nothing is sent to it, because \*\.blocked\.example is in/)
  })

  it('is not woken: 409, and nothing is written or queued', async () => {
    await s.change(D, { paused: true })
    expect(await app.post(`${path}/wake`)).to.deep.equal({
      status: 409,
      body: { errcode: 'M_LIMPET_BLOCKED', error: `nothing is sent to ${D}, because ${WHY}` },
    })
    const { rows } = await s.pool.query('select wake_seq, asked_at from destinations where name = $1', [D])
    expect(rows).to.deep.equal([{ wake_seq: 0, asked_at: null }])
    expect((await s.pool.query('select from audit')).rows).to.have.length(0)
    expect((await app.post('/v1/destinations/b.blocked.example/wake')).status).to.equal(404)
  })

  for (const action of ['reset', 'pause', 'resume'])
    it(`takes a ${action}, is told that it stays blocked, and comes into no queue`, async () => {
      expect(await app.post(`${path}/${action}`)).to.deep.equal({ status: 200, body: { blocked: WHY } })
      const { rows } = await s.pool.query('select action from audit')
      expect(rows).to.deep.equal([{ action }])
      expect(app.woken).to.deep.equal([])
    })

  it('has others woken as ever', async () => {
    expect(await app.post('/v1/destinations/blocked.example/wake')).to.deep.equal({ status: 200, body: {} })
    expect(app.woken.map(({ destination }) => destination)).to.deep.equal(['blocked.example'])
  })
})
