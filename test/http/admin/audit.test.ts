/** What operators did, as the admin API lists it: each act is there with its effect, the newest first, and only so many are kept. */
import { expect } from 'chai'
import { forgetOldActs } from '../../../src/store/audit.ts'
import { makeSituation, type Situation } from '../../store/views/situation.ts'
import { makeAdminApp, type AdminApp } from './app.ts'

const D = 'd.example:8448'
type Rows = Record<string, unknown>[]

describe('the list of what operators did', () => {
  let s: Situation
  let app: AdminApp
  before(async () => {
    s = await makeSituation()
    app = makeAdminApp(s)
  })
  beforeEach(async () => {
    await s.reset()
    await s.server(D)
  })
  after(async () => {
    await app.close()
    await s.close()
  })
  const list = async (query = '') => {
    const { status, body } = await app.get(`/v1/audit${query}`)
    expect(status).to.equal(200)
    return body as { audit: Rows; total: number; next_token?: string }
  }
  const actions = async (query = '') => (await list(query)).audit.map(({ action }) => action)

  it('says who did what, when, on what', async () => {
    const before = await s.now()
    expect((await app.post(`/v1/destinations/${D}/pause`)).status).to.equal(200)
    const { audit, total } = await list()
    const { at, ...rest } = audit[0] ?? {}
    expect([audit.length, total]).to.deep.equal([1, 1])
    expect(rest).to.deep.equal({ who: 'alice', action: 'pause', target: D, matched: null })
    expect(at).to.be.within(before, await s.now())
  })

  it('has the newest first, in pages, or as it is told', async () => {
    for (const action of ['pause', 'resume', 'reset', 'wake'])
      await app.post(`/v1/destinations/${D}/${action}`)
    expect(await actions()).to.deep.equal(['wake', 'reset', 'resume', 'pause'])
    const page = await list('?limit=3')
    expect([page.audit.length, page.total, page.next_token]).to.deep.equal([3, 4, '3'])
    expect(await actions('?limit=3&from=3')).to.deep.equal(['pause'])
    expect(await actions('?order_by=action&dir=f')).to.deep.equal(['pause', 'reset', 'resume', 'wake'])
    for (const query of ['order_by=id', 'limit=0', 'dir=x'])
      expect((await app.get(`/v1/audit?${query}`)).body['errcode']).to.equal('M_INVALID_PARAM')
  })

  it('has nothing of what was refused', async () => {
    await s.change(D, { paused: true })
    expect((await app.post(`/v1/destinations/${D}/wake`)).status).to.equal(409)
    expect((await app.post('/v1/destinations/nobody.example/wake')).status).to.equal(404)
    expect((await app.post(`/v1/destinations/${D}/resume`, 'read-token')).status).to.equal(403)
    expect(await list()).to.deep.equal({ audit: [], total: 0 })
  })

  it('keeps the newest of them, whatever the clock says', async () => {
    await forgetOldActs(s.pool)
    for (let i = 0; i < 5; i += 1) await app.post(`/v1/destinations/${D}/${i % 2 === 0 ? 'pause' : 'resume'}`)
    await s.pool.query('update audit set at = 1')
    await forgetOldActs(s.pool)
    expect((await list()).total).to.equal(5)
    await forgetOldActs(s.pool, 2)
    expect(await actions()).to.deep.equal(['pause', 'resume'])
  })
})
