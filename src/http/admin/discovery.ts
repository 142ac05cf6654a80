/** `GET /v1/destinations/{server}/discovery`: what `limpet discover` prints. The server need not be one that limpet knows. */
import type { FastifyInstance } from 'fastify'
import type { DiscoveryReport } from '../../discovery/report.ts'
import { parseServerName, type ServerName } from '../../matrix/ids.ts'
import { choiceOf } from './query.ts'
import { badParam } from './refusal.ts'

export interface DiscoveryRouteNeeds {
  /** `anew`: asks whatever is remembered. */
  discover: (name: ServerName, options: { anew: boolean }) => Promise<DiscoveryReport>
}

export function registerDiscoveryRoute(app: FastifyInstance, { discover }: DiscoveryRouteNeeds): void {
  app.get<{ Params: { server: string } }>('/v1/destinations/:server/discovery', ({ params, query }) => {
    const name = parseServerName(params.server)
    if (name === null)
      throw badParam(
        `${JSON.stringify(params.server)} is not a server name (those are like example.org, example.org:8448, 192.0.2.7)`,
      )
    return discover(name, { anew: choiceOf(query, 'fresh', ['true', 'false']) === 'true' })
  })
}
