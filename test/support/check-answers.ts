/**
 * Every answer of every limpet that a test runs in its own process is held against the reference (`src/api/`): its route, its status, its body, its
 * error code, and each parameter that the route looks for. What is not described fails the test in which it was seen.
 *
 * The framework tells of each instance that it makes (`fastify.initialization`), so nothing in limpet knows of this.
 */
import { subscribe } from 'node:diagnostics_channel'
import type { FastifyInstance, FastifyRequest } from 'fastify'

const complaints = new Set<string>()

/** What was not as the reference says since the last call. */
export function undescribed(): string[] {
  const found = [...complaints]
  complaints.clear()
  return found
}

/** The `config` of a route that a test puts in the place of limpet's: its answers are not looked at. */
export const STAND_IN = { standIn: true }

const isStandIn = ({ routeOptions }: FastifyRequest): boolean =>
  (routeOptions.config as Partial<typeof STAND_IN>).standIn === true

/** Loaded when there is something to look at: most test files run no limpet. */
const load = () => import('./described.ts')

export function checkAnswers(): void {
  subscribe('fastify.initialization', (message) => {
    const { fastify } = message as { fastify: FastifyInstance }
    const described = load()
    fastify.addHook('preHandler', async (request) => {
      const { parametersOf } = await described
      const known = parametersOf(request)
      if (known !== null) request.query = watched(request, known)
    })
    fastify.addHook('onSend', async (request, reply, payload) => {
      if (request.method !== 'HEAD' && !isStandIn(request)) {
        const { complaintOf } = await described
        const complaint = complaintOf(request, reply, payload)
        if (complaint !== null) complaints.add(complaint)
      }
      return payload
    })
  })
}

/** The query, which tells when a parameter is looked for that is not described. */
function watched(request: FastifyRequest, known: ReadonlySet<string>): object {
  const { method, routeOptions } = request
  return new Proxy(request.query as object, {
    get(query, name) {
      if (typeof name === 'string' && !known.has(name) && !(name in query))
        complaints.add(`${method} ${routeOptions.url ?? ''} looks for the parameter ${name}`)
      return Reflect.get(query, name) as unknown
    },
  })
}
