/** `GET /v1/destinations/{server}/discovery`: which name is asked for, whether anew, and what is refused. */
import { expect } from 'chai'
import { makeSituation, type Situation } from '../../store/views/situation.ts'
import { makeAdminApp, type AdminApp } from './app.ts'
import { foundReport } from './discovered.ts'

describe('the discovery of a server', () => {
  let s: Situation
  let app: AdminApp
  const asked: [name: string, anew: boolean][] = []
  before(async () => {
    s = await makeSituation()
    app = makeAdminApp(s, {
      discover: (name, { anew }) => {
        asked.push([name, anew])
        return Promise.resolve(foundReport(name))
      },
    })
  })
  beforeEach(() => (asked.length = 0))
  after(async () => {
    await app.close()
    await s.close()
  })
  const discover = (name: string, query = '') =>
    app.get(`/v1/destinations/${encodeURIComponent(name)}/discovery${query}`)

  it('is asked for a server that limpet has never heard of, and is the report as it is', async () => {
    const { status, body } = await discover('192.0.2.7')
    expect(status).to.equal(200)
    expect(body).to.deep.equal({
      destination: '192.0.2.7',
      connects_to: [{ address: '192.0.2.7', port: 8448, via_proxy: null }],
      ...{ step: '1', host_header: '192.0.2.7', certificate_name: '192.0.2.7', error: null, blocked: null },
      steps: [{ step: '1', asked: null, outcome: '192.0.2.7 is an IP address', ms: 0, cache: null }],
      places: [
        {
          ...{ host: '192.0.2.7', port: 8448, addresses: ['192.0.2.7'], refused: [], cname: null },
          ...{ error: null, proxy: null, ms: 0, cache: null },
        },
      ],
    })
  })

  it('asks anew only with fresh=true', async () => {
    for (const query of ['', '?fresh=true', '?fresh=false'])
      expect((await discover('[2001:db8::1]:8448', query)).status).to.equal(200)
    expect(asked).to.deep.equal([
      ['[2001:db8::1]:8448', false],
      ['[2001:db8::1]:8448', true],
      ['[2001:db8::1]:8448', false],
    ])
    for (const query of ['?fresh=yes', '?fresh=', '?fresh=true&fresh=true'])
      expect((await discover('a.example', query)).body['errcode'], query).to.equal('M_INVALID_PARAM')
  })

  it('asks nothing for what is no server name, and says what one is like', async () => {
    for (const name of [
      'https://a.example',
      '@alice:a.example',
      'a b',
      '1.2.3',
      'a.example:0',
      '2001:db8::1',
    ]) {
      const { status, body } = await discover(name)
      expect([status, body['errcode']], name).to.deep.equal([400, 'M_INVALID_PARAM'])
      expect(body['error']).to.match(/is not a server name \(those are like example\.org, /)
    }
    expect(asked).to.deep.equal([])
  })
})
