import { expect } from 'chai'
import type { FastifyInstance } from 'fastify'
import { callerName } from '../../src/http/server.ts'
import { STAND_IN } from '../support/check-answers.ts'
import { ask, fakeAppend, makeTestApp } from './ingest/stage.ts'

describe('who may do what', () => {
  const fake = fakeAppend()
  let app: FastifyInstance
  before(() => {
    app = makeTestApp({
      append: fake.append,
      admin: (scope) => {
        scope.get('/v1/status', { config: STAND_IN }, (request) => ({ who: callerName(request) }))
        scope.post('/v1/act', { config: STAND_IN }, (request) => ({ who: callerName(request) }))
      },
    })
  })
  after(() => app.close())

  const ingest = (token: string | null) =>
    ask(app, {
      method: 'POST',
      url: '/v1/ingest',
      token,
      headers: { 'content-type': 'application/json' },
      payload: '{"items":[]}',
    })
  const see = (token: string | null) => ask(app, { method: 'GET', url: '/v1/status', token })
  const act = (token: string | null) => ask(app, { method: 'POST', url: '/v1/act', token })

  it('only an ingest token may ingest', async () => {
    expect((await ingest('tok-ingest')).status).to.equal(200)
    for (const token of ['tok-read', 'tok-ann']) {
      const { status, body } = await ingest(token)
      expect(status).to.equal(403)
      expect(body['errcode']).to.equal('M_FORBIDDEN')
    }
  })

  it('an ingest token neither sees nor acts', async () => {
    for (const { status, body } of [await see('tok-ingest'), await act('tok-ingest')]) {
      expect(status).to.equal(403)
      expect(body['errcode']).to.equal('M_FORBIDDEN')
    }
  })

  it('a read token sees and does not act', async () => {
    expect((await see('tok-read')).status).to.equal(200)
    expect((await act('tok-read')).status).to.equal(403)
  })

  it('an admin token sees and acts, under its own name', async () => {
    expect((await see('tok-ann')).body['who']).to.equal('ann')
    expect((await act('tok-bob')).body['who']).to.equal('bob')
  })

  it('what was ingested is read back with an ingest or a read token', async () => {
    const back = (token: string) => ask(app, { method: 'GET', url: '/v1/ingest/position?source=Ä', token })
    // 400: it got as far as the parameter.
    expect((await back('tok-ingest')).status).to.equal(400)
    expect((await back('tok-read')).status).to.equal(400)
    expect((await back('tok-ann')).status).to.equal(403)
  })

  it('without a token nobody does anything, and is told which header is missing', async () => {
    for (const { status, body } of [await ingest(null), await see(null), await act(null)]) {
      expect(status).to.equal(401)
      expect(body['errcode']).to.equal('M_MISSING_TOKEN')
    }
    const basic = await app.inject({ url: '/v1/status', headers: { authorization: 'Basic dG9rLWFubjo=' } })
    expect(basic.json()).to.include({ errcode: 'M_MISSING_TOKEN' })
  })

  it('an unknown token is told from a missing one, however close it is', async () => {
    for (const token of ['tok-ing', 'tok-ingest1', 'TOK-INGEST', 'x'.repeat(5000)]) {
      const { status, body } = await ingest(token)
      expect(status).to.equal(401)
      expect(body['errcode']).to.equal('M_UNKNOWN_TOKEN')
    }
  })

  it('the token is asked for before the body is read', async () => {
    const { status } = await ask(app, {
      method: 'POST',
      url: '/v1/ingest',
      token: 'wrong',
      headers: { 'content-type': 'application/json' },
      payload: 'x'.repeat(17 * 1024 * 1024),
    })
    expect(status).to.equal(401)
  })

  it('health needs no token; metrics need theirs where one is set', async () => {
    expect((await ask(app, { url: '/health/live', token: null })).status).to.equal(200)
    expect((await ask(app, { url: '/health/ready', token: null })).status).to.equal(200)
    expect((await app.inject('/metrics')).statusCode).to.equal(200)
    const guarded = makeTestApp({ metricsToken: () => 'tok-metrics' })
    const metrics = (token?: string) =>
      guarded.inject({
        url: '/metrics',
        headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      })
    expect((await metrics()).statusCode).to.equal(401)
    expect((await metrics('tok-admin')).statusCode).to.equal(401)
    expect((await metrics('tok-metrics')).body).to.include('# TYPE limpet_transactions_in_flight gauge')
    await guarded.close()
  })
})
