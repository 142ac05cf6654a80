/** The reference has every field that a body may have: those that the daemon's own code knows. */
import { expect } from 'chai'
import { registerAdminRoutes, type AdminDeps } from '../../src/http/admin/routes.ts'
import { BODY_FIELDS } from '../../src/ingest/parse-body.ts'
import { ITEM_FIELDS } from '../../src/ingest/parse-item.ts'
import { ingestRequest, item } from '../../src/api/item-shapes.ts'
import { actionRequest, blockRequest, skipRequest } from '../../src/api/operator-shapes.ts'
import { makeTestApp } from '../http/ingest/stage.ts'

describe('the reference has every field', () => {
  it('of an item, by its type', () => {
    const described = item.options.map(({ shape }) => [[...shape.type.values][0], Object.keys(shape).sort()])
    const known = Object.entries(ITEM_FIELDS).map(([type, fields]) => [type, [...fields].sort()])
    expect(Object.fromEntries(described)).to.deep.equal(Object.fromEntries(known))
  })

  it('beside the items', () => {
    expect(Object.keys(ingestRequest.shape).sort()).to.deep.equal([...BODY_FIELDS].sort())
  })

  it('of what operators send, as the refusal of another one lists them', async () => {
    // Refused before anything else is asked for.
    const app = makeTestApp({ admin: (scope) => registerAdminRoutes(scope, {} as AdminDeps) })
    const bodies = {
      '/v1/actions': actionRequest,
      '/v1/blocks': blockRequest,
      '/v1/destinations/b.example/skip': skipRequest,
    }
    for (const [url, { shape }] of Object.entries(bodies)) {
      const headers = { authorization: 'Bearer tok-ann' }
      const answer = await app.inject({ method: 'POST', url, headers, payload: { odd: 1 } })
      const [, listed = ''] =
        /^unknown field odd: there are (.*)$/.exec(answer.json<{ error: string }>().error) ?? []
      expect(listed.split(', ').sort(), url).to.deep.equal(Object.keys(shape).sort())
    }
    await app.close()
  })
})
