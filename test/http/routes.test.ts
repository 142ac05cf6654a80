/**
 * Who may do what, as one table: every route that the process registers, every kind of token, every method.
 *
 * The routes are those that the app itself tells of, so that a new one without a row here fails.
 */
import { expect } from 'chai'
import type { FastifyInstance, HTTPMethods } from 'fastify'
import { registerAdminRoutes } from '../../src/http/admin/routes.ts'
import { makeLog } from '../../src/observe/log.ts'
import type { Pool } from '../../src/store/db.ts'
import { systemClock } from '../../src/pace/clock.ts'
import { migrate } from '../../src/store/migrate.ts'
import { openPool } from '../../src/store/db.ts'
import { freshDatabase } from '../support/postgres.ts'
import { foundReport } from './admin/discovered.ts'
import { makeTestApp } from './ingest/stage.ts'

/** Tokens by kind, as `Authorization` headers. */
const KINDS = {
  none: undefined,
  malformed: 'Basic dG9rLWFubjo=',
  unknown: 'Bearer tok-nobody',
  ingest: 'Bearer tok-ingest',
  read: 'Bearer tok-read',
  admin: 'Bearer tok-ann',
  metrics: 'Bearer tok-metrics',
} as const
type Kind = keyof typeof KINDS
const kinds = Object.keys(KINDS) as Kind[]

type Statuses = Readonly<Record<Kind, number>>
const everybody = (status: number): Statuses => only({}, status)
/** Who is named here gets what stands there; who has a token of another kind 403, who has none that is known 401. */
function only(allowed: Partial<Record<Kind, number>>, others?: number): Statuses {
  const refused = (kind: Kind) => (['ingest', 'read', 'admin'].includes(kind) ? 403 : 401)
  return Object.fromEntries(kinds.map((kind) => [kind, allowed[kind] ?? others ?? refused(kind)])) as Statuses
}
const see = (status: number) => only({ read: status, admin: status })
const act = (status: number) => only({ admin: status })
const readBack = (status: number) => only({ ingest: status, read: status })
const feed = (status: number) => only({ ingest: status })

/** Method and route, what each kind is answered, and what it is with a NUL in the name or the query. */
const TABLE: Readonly<Record<string, { ok: Statuses; nul?: Statuses }>> = {
  'GET /health/live': { ok: everybody(200), nul: everybody(400) },
  'GET /health/ready': { ok: everybody(200), nul: everybody(400) },
  'GET /openapi.json': { ok: everybody(200), nul: everybody(400) },
  'GET /docs': { ok: everybody(200), nul: everybody(400) },
  'GET /metrics': { ok: only({ metrics: 200 }, 401), nul: only({ metrics: 400 }, 401) },
  // Without a body.
  'POST /v1/ingest': { ok: feed(400), nul: feed(400) },
  'POST /v1/ingest/server_up': { ok: feed(400), nul: feed(400) },
  'GET /v1/ingest/position': { ok: readBack(200), nul: readBack(400) },
  'GET /v1/ingest/unreachable': { ok: readBack(200), nul: readBack(400) },
  'GET /v1/rooms': { ok: readBack(200), nul: readBack(400) },
  'GET /v1/rooms/:roomId': { ok: readBack(404), nul: readBack(400) },
  'GET /v1/status': { ok: see(200), nul: see(400) },
  'GET /v1/destinations': { ok: see(200), nul: see(400) },
  'GET /v1/destinations/:server': { ok: see(404), nul: see(400) },
  'GET /v1/destinations/:server/rooms': { ok: see(404), nul: see(400) },
  'GET /v1/destinations/:server/transactions': { ok: see(404), nul: see(400) },
  'GET /v1/destinations/:server/discovery': { ok: see(200), nul: see(400) },
  'GET /v1/destinations/:server/preview': { ok: see(404), nul: see(400) },
  'POST /v1/destinations/:server/wake': { ok: act(404), nul: act(400) },
  'POST /v1/destinations/:server/reset': { ok: act(404), nul: act(400) },
  'POST /v1/destinations/:server/pause': { ok: act(404), nul: act(400) },
  'POST /v1/destinations/:server/resume': { ok: act(404), nul: act(400) },
  'POST /v1/destinations/:server/skip': { ok: act(404), nul: act(400) },
  'GET /v1/destinations/:server/quarantine': { ok: see(404), nul: see(400) },
  'POST /v1/destinations/:server/quarantine/:id/retry': { ok: act(404), nul: act(400) },
  'POST /v1/destinations/:server/quarantine/:id/drop': { ok: act(404), nul: act(400) },
  'GET /v1/events/:eventId': { ok: see(404), nul: see(400) },
  // Without a body.
  'POST /v1/actions': { ok: act(400), nul: act(400) },
  'GET /v1/audit': { ok: see(200), nul: see(400) },
  'GET /v1/sticky': { ok: see(200), nul: see(400) },
  'GET /v1/sources/:name': { ok: see(404), nul: see(400) },
  'POST /v1/sources/:name/continue': { ok: act(404), nul: act(400) },
  'GET /v1/blocks': { ok: see(200), nul: see(400) },
  'POST /v1/blocks': { ok: act(400), nul: act(400) },
  'DELETE /v1/blocks': { ok: act(400), nul: act(400) },
  // Of later releases.
  'GET /_synapse/admin/v1/federation/destinations': { ok: see(404), nul: see(400) },
  'GET /_synapse/admin/v1/federation/destinations/:server': { ok: see(404), nul: see(400) },
  'GET /_synapse/admin/v1/federation/destinations/:server/rooms': { ok: see(404), nul: see(400) },
  'POST /_synapse/admin/v1/federation/destinations/:server/reset_connection': { ok: act(404), nul: act(400) },
}
const METHODS = ['GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'PATCH', 'DELETE'] as const satisfies HTTPMethods[]

describe('every route, token and method', function () {
  this.timeout(120_000)
  let pool: Pool
  let app: FastifyInstance
  let lines = ''
  const registered = new Set<string>()
  before(async () => {
    const { url } = await freshDatabase()
    pool = openPool({ url })
    await migrate(pool)
    app = makeTestApp({
      db: pool,
      metricsToken: () => 'tok-metrics',
      log: makeLog({ level: 'warn', pretty: false, stream: { write: (line) => (lines += line) } }),
      onRoute: ({ method, url: path }) => {
        for (const one of [method].flat()) registered.add(`${one} ${path}`)
      },
      admin: (scope) => {
        registerAdminRoutes(scope, {
          ...{ pool, serverName: 'a.example', version: '1', wake: () => Promise.resolve() },
          discover: (name) => Promise.resolve(foundReport(name)),
          vetDomain: null,
          preview: {
            ...{ clock: systemClock, origin: 'a.example', maxPdus: 50, maxBodyBytes: 1_000_000 },
            edus: { maxEdus: 100, off: new Set(), durableMs: 30 * 86_400_000 },
            deadline: { long_outage_ms: 3_600_000 },
            catchUp: { threshold_pdus: 1_000, min_age_ms: 60_000 },
          },
          readBlocks: () => Promise.resolve(),
          deadAfterMs: 30 * 86_400_000,
          rampPerSecond: 50,
          onGivenUp: () => undefined,
        })
      },
    })
    await app.ready()
  })
  after(async () => {
    await app.close()
    await pool.end()
  })
  beforeEach(() => (lines = ''))

  const ask = async (method: (typeof METHODS)[number], url: string, kind: Kind) => {
    const authorization = KINDS[kind]
    const headers = authorization === undefined ? {} : { authorization }
    return (await app.inject({ method, url, headers })).statusCode
  }
  const filled = (path: string, value: string) => path.replace(/:\w+/g, value)
  const paths = () => [...new Set(Object.keys(TABLE).map((row) => row.split(' ')[1] ?? ''))]

  it('has a row here', () => {
    const withoutHead = [...registered].filter((route) => !route.startsWith('HEAD '))
    expect(withoutHead.sort()).to.deep.equal(Object.keys(TABLE).sort())
  })

  for (const method of METHODS) {
    it(`answers ${method} as the table says`, async () => {
      for (const path of paths())
        for (const kind of kinds) {
          const row = TABLE[`${method === 'HEAD' ? 'GET' : method} ${path}`]
          const wanted = row?.ok[kind] ?? 405
          expect(await ask(method, filled(path, 'b.example'), kind), `${path} ${kind}`).to.equal(wanted)
        }
      expect(lines).to.equal('')
    })

    it(`answers ${method} with a NUL in names and queries with 400, and says nothing in the log`, async () => {
      for (const path of paths())
        for (const kind of kinds) {
          const row = TABLE[`${method === 'HEAD' ? 'GET' : method} ${path}`]
          const wanted = row?.nul?.[kind] ?? 405
          const named = path.includes(':') ? [filled(path, 'b%00'), filled(path, '%00')] : []
          for (const url of [...named, `${filled(path, 'b')}?search=a%00`, `${filled(path, 'b')}?%00=a`])
            expect(await ask(method, url, kind), `${url} ${kind}`).to.equal(wanted)
        }
      expect(lines).to.equal('')
    })
  }

  it('takes whatever else stands in a name or a query without an error of ours', async () => {
    const odd = [
      '%ED%A0%80',
      '%C0%80',
      '%ff',
      '%zz',
      '%',
      '%F4%90%80%80',
      '%F0%9F%98%80',
      "'",
      '"',
      '\\',
      '%2F',
    ]
    const more = [
      '%E2%80%AE',
      'a'.repeat(255),
      'ä'.repeat(90),
      '-1',
      '9'.repeat(40),
      '1e400',
      'NaN',
      '..%2f..',
    ]
    const parameters = [
      'search',
      'state',
      'from',
      'limit',
      'order_by',
      'dir',
      'destination',
      'room_id',
      'source',
    ]
    for (const value of [...odd, ...more])
      for (const route of Object.keys(TABLE)) {
        const [method, path] = route.split(' ') as ['GET', string]
        const queries = parameters.map((name) => `${path}?${name}=${value}`)
        const kind = /^\/v1\/(ingest|rooms)/.test(path) ? 'ingest' : 'admin'
        for (const url of path.includes(':') ? [filled(path, value)] : queries)
          expect(await ask(method, url, kind), `${method} ${url}`).to.be.below(500)
      }
    expect(lines).to.equal('')
  })
})
