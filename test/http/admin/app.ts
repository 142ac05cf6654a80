/** The admin API behind the real listener code and tokens, with a recording queue: a test asks by `get` and `post`. */
import { makeLog } from '../../../src/observe/log.ts'
import { makeApp } from '../../../src/http/app.ts'
import { registerAdminRoutes, type AdminDeps } from '../../../src/http/admin/routes.ts'
import { makeMetrics } from '../../../src/observe/metrics.ts'
import type { Situation } from '../../store/views/situation.ts'

export interface Answer {
  status: number
  // What an endpoint answers is looked at, not trusted: tests read it as JSON.
  body: Record<string, unknown>
}

export function makeAdminApp(
  { pool }: Pick<Situation, 'pool'>,
  {
    vetDomain = null,
    discover,
    readBlocks,
  }: Partial<Pick<AdminDeps, 'vetDomain' | 'discover' | 'readBlocks'>> = {},
) {
  const woken: { destination: string; queue: string }[] = []
  const queue = { away: false }
  const givenUp: number[] = []
  const app = makeApp(
    {
      tokens: () => ({
        ingest: [{ name: 'ingest', token: 'ingest-token' }],
        read: [{ name: 'read', token: 'read-token' }],
        admin: [{ name: 'alice', token: 'admin-token' }],
      }),
      metricsToken: () => null,
      metrics: makeMetrics({ runtime: false }),
      log: makeLog({ level: 'silent', pretty: false }),
      readiness: () => Promise.resolve({ ready: true }),
      phase: () => 'running',
      ingest: null,
      admin: (scope) => {
        registerAdminRoutes(scope, {
          pool,
          serverName: 'us.example',
          version: '1.2.3',
          vetDomain,
          preview: {
            ...{ clock: { now: () => 1_000 }, origin: 'us.example', maxPdus: 50, maxBodyBytes: 1_000_000 },
            catchUp: { threshold_pdus: 1_000, min_age_ms: 60_000 },
            edus: { maxEdus: 100, off: new Set(), durableMs: 30 * 86_400_000 },
            deadline: { long_outage_ms: 3_600_000 },
          },
          readBlocks: readBlocks ?? (() => Promise.resolve()),
          deadAfterMs: 30 * 86_400_000,
          rampPerSecond: 10,
          onGivenUp: (count) => givenUp.push(count),
          discover: discover ?? (() => Promise.reject(new Error('not asked'))),
          wake: (who) => {
            if (queue.away) return Promise.reject(new Error('queue away'))
            woken.push(...who)
            return Promise.resolve()
          },
        })
      },
    },
    ['admin'],
  )
  const ask = async (
    method: 'GET' | 'POST' | 'DELETE',
    url: string,
    token: string,
    body?: object,
  ): Promise<Answer> => {
    const response = await app.inject({
      ...{ method, url, headers: { authorization: `Bearer ${token}` } },
      ...(body === undefined ? {} : { payload: body }),
    })
    return { status: response.statusCode, body: response.json() }
  }
  return {
    woken,
    givenUp,
    queue,
    get: (url: string, token = 'read-token') => ask('GET', url, token),
    post: (url: string, token = 'admin-token', body?: object) => ask('POST', url, token, body),
    send: (url: string, body: object, token = 'admin-token') => ask('POST', url, token, body),
    delete: (url: string, token = 'admin-token') => ask('DELETE', url, token),
    listen: () => app.listen({ host: '127.0.0.1', port: 0 }),
    close: () => app.close(),
  }
}

export type AdminApp = ReturnType<typeof makeAdminApp>
