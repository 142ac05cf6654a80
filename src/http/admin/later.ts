/**
 * Calls of the contract that later releases bring. They are refused by name, so that nobody looks for a typing error.
 */
import type { FastifyInstance, HTTPMethods } from 'fastify'
import { AdminRefusal } from './refusal.ts'

const LATER: readonly [methods: HTTPMethods[], path: string][] = [
  [['GET'], '/_synapse/admin/v1/federation/destinations'],
  [['GET'], '/_synapse/admin/v1/federation/destinations/:server'],
  [['GET'], '/_synapse/admin/v1/federation/destinations/:server/rooms'],
  [['POST'], '/_synapse/admin/v1/federation/destinations/:server/reset_connection'],
]

export function registerLaterRoutes(app: FastifyInstance): void {
  for (const [method, url] of LATER) {
    app.route({
      method,
      url,
      handler: () => {
        throw new AdminRefusal(404, 'M_UNRECOGNIZED', 'this call comes in a later release')
      },
    })
  }
}
