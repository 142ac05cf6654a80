/** One source by the admin API and `limpet source`: how it is doing, and the word to go on after its database was restored. */
import { expect } from 'chai'
import { NEW_TIMELINE } from '../../src/ingest/synapse/timeline.ts'
import { showSource } from '../../src/cli/admin/source.ts'
import { plainScreen } from '../../src/cli/screen.ts'
import type { SourceAnswer } from '../../src/cli/admin/answers.ts'
import { saySourceState } from '../../src/store/ingest/source-states.ts'
import { changeTimeline, readSourceTimeline } from '../../src/store/ingest/source-timelines.ts'
import { makeSituation, type Situation } from '../store/views/situation.ts'
import { makeAdminApp, type AdminApp } from './admin/app.ts'

describe('a source in the admin API', () => {
  let s: Situation
  let app: AdminApp
  const restored = { place: 9, head: 7, common: 5 }
  const change = (to: object, continued = 0) =>
    changeTimeline(s.pool, {
      source: 'synapse',
      change: { ...to },
      continued,
      initial: { ...NEW_TIMELINE },
    })
  before(async () => {
    s = await makeSituation()
    app = makeAdminApp(s)
    const said = { head: 7, place: 9, behindMs: 0, error: 'restored' }
    await saySourceState(s.pool, { source: 'synapse', state: 'stalled', ...said })
  })
  after(async () => {
    await app.close()
    await s.close()
  })

  it('goes on by itself as long as its database was not restored', async () => {
    expect((await app.get('/v1/sources/synapse')).body).to.include({ state: 'stalled', restored: null })
    const { status, body } = await app.post('/v1/sources/synapse/continue')
    expect([status, body['errcode']]).to.deep.equal([409, 'M_LIMPET_NOT_RESTORED'])
    expect((await app.get('/v1/sources/other')).status).to.equal(404)
  })

  it('waits after a restore until somebody who may says so, and says what it will do', async () => {
    await change({ restored })
    const { body } = await app.get('/v1/sources/synapse')
    expect(body).to.deep.include({ restored, continuing: false })
    const shown = showSource(body as unknown as SourceAnswer, Date.now(), plainScreen(Infinity))
    expect(shown).to.match(
      /had read up to 9, but the database ended at 7[\s\S]* up to 5\.\s[\s\S]*limpet source synapse --continue$/,
    )
    expect((await app.post('/v1/sources/synapse/continue', 'read-token')).status).to.equal(403)
    expect((await app.post('/v1/sources/synapse/continue')).status).to.equal(200)
    expect((await app.get('/v1/sources/synapse')).body).to.deep.include({ continuing: true })
    const { rows } = await s.pool.query('select who, action, target from audit')
    expect(rows).to.deep.equal([{ who: 'alice', action: 'continue', target: 'synapse' }])
  })

  it('takes no more what was written before the command, once that was carried out', async () => {
    await change({ restored: null, goOn: false, continued: 1 })
    await change({ restored })
    expect(await readSourceTimeline(s.pool, 'synapse')).to.include({ restored: null, continued: 1 })
  })
})
