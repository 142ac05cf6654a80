/** Every route of limpet is in the reference, and nothing else; the reference is served, to everybody. */
import { expect } from 'chai'
import { readFileSync } from 'node:fs'
import { registerAdminRoutes, type AdminDeps } from '../../src/http/admin/routes.ts'
import { OPERATIONS } from '../../src/api/openapi.ts'
import { asDescribed, comesLater } from '../support/described.ts'
import { makeTestApp } from '../http/ingest/stage.ts'

/** No call is made: only the routes are asked for. */
const NO_DEPS = {} as AdminDeps

describe('the reference of the API', () => {
  const registered = new Set<string>()
  const app = makeTestApp({
    onRoute: ({ method, url }) => {
      for (const one of [method].flat())
        if (one !== 'HEAD' && !comesLater(url)) registered.add(`${one} ${asDescribed(url)}`)
    },
    admin: (scope) => registerAdminRoutes(scope, NO_DEPS),
  })
  before(() => app.ready())
  after(() => app.close())

  it('has every route', () => {
    const described = OPERATIONS.map(({ method, path }) => `${method} ${path}`)
    expect([...registered].sort()).to.deep.equal(described.sort())
  })

  it('calls no two by one name', () => {
    const names = OPERATIONS.map(({ name }) => name)
    expect(names).to.have.lengthOf(new Set(names).size)
  })

  it('is served as it is checked in, without a token, also while limpet starts', async () => {
    const starting = makeTestApp({ phase: () => 'starting' })
    const answer = await starting.inject('/openapi.json')
    expect(answer.statusCode).to.equal(200)
    expect(answer.headers['content-type']).to.match(/^application\/json/)
    const file = readFileSync(new URL('../../docs/openapi.json', import.meta.url), 'utf8')
    expect(answer.body).to.equal(file)
    expect(answer.json<{ openapi: string }>().openapi).to.equal('3.1.0')
    await starting.close()
  })

  it('is a page that runs nothing and fetches nothing', async () => {
    const { statusCode, headers, body } = await app.inject('/docs')
    expect(statusCode).to.equal(200)
    expect(headers['content-type']).to.equal('text/html; charset=utf-8')
    expect(headers['content-security-policy']).to.match(
      /^default-src 'none'; style-src 'sha256-[\w+/=]{44}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'$/,
    )
    expect(body).not.to.match(/<script|<link|<img|https?:\/\/(?!127)|\bon\w+=|style=/i)
    for (const { path, method } of OPERATIONS) expect(body, path).to.include(`<code>${method} ${path}</code>`)
    // Each link leads to something of the page.
    const targets = new Set([...body.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id))
    for (const [, to] of body.matchAll(/href="#([^"]+)"/g)) expect(targets, to).to.include(to)
  })
})
