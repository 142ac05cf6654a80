/**
 * For monitoring: is the process alive, is it ready, and what does it count? Every role serves this. Health needs no
 * token, and metrics need one only if `metrics.token` is set.
 */
import type { FastifyInstance } from 'fastify'
import type { Metrics } from '../observe/metrics.ts'
import { makeTokenGuard } from './auth.ts'
import { MatrixError } from './errors.ts'

/** Whether database and queue take a write and the schema fits; `why` says what does not, in one line. */
export type Readiness = () => Promise<{ ready: boolean; why?: string | undefined }>

export function registerHealthRoutes(app: FastifyInstance, { readiness }: { readiness: Readiness }): void {
  // That there is an answer says that the event loop turns.
  app.get('/health/live', () => ({}))
  app.get('/health/ready', async () => {
    const { ready, why } = await readiness().catch((error: unknown) => ({ ready: false, why: String(error) }))
    if (!ready) throw new MatrixError(503, 'M_LIMPET_UNAVAILABLE', why ?? 'not ready')
    return {}
  })
}

export function registerMetricsRoute(
  app: FastifyInstance,
  { metrics, token }: { metrics: Metrics; token: () => string | null },
): void {
  app.get('/metrics', { onRequest: makeTokenGuard(token) }, async (_request, reply) => {
    void reply.type(metrics.registry.contentType)
    return metrics.registry.metrics()
  })
}
