/**
 * What one listener serves: health always, the reference beside either API, and the rest as its `serve` list and the process's roles allow.
 *
 * While the daemon starts or stops, or can't go on, everything but health, metrics and the reference is answered with 503 and the
 * reason. Nothing is half taken.
 */
import Fastify, { LogController } from 'fastify'
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import type { Served, Tokens } from '../config/config.ts'
import type { Log } from '../observe/log.ts'
import { JsonError } from '../matrix/json-value.ts'
import { BODY_LIMITS } from '../matrix/read-limits.ts'
import { parseJson } from '../matrix/strict-json.ts'
import type { Metrics } from '../observe/metrics.ts'
import { isKnown, makeGuard } from './auth.ts'
import { answerBroken, guardBodies, makeDoorServer } from './door.ts'
import { MatrixError, answerWithError, useMatrixErrors } from './errors.ts'
import { registerHealthRoutes, registerMetricsRoute } from './health-routes.ts'
import type { Readiness } from './health-routes.ts'
import { registerIngestRoutes } from './ingest/routes.ts'
import type { IngestService } from './ingest/routes.ts'
import { refuseOddText } from './odd-text.ts'
import { registerReferenceRoutes } from './reference-routes.ts'
import type { Visitors } from './visitors.ts'

export type Phase = 'starting' | 'running' | 'stopping'

export interface AppOptions {
  /** As of now, as the next one. */
  readonly tokens: () => Tokens
  readonly metricsToken: () => string | null
  readonly metrics: Metrics
  readonly log: Log
  readonly readiness: Readiness
  readonly phase: () => Phase
  /** What keeps this process from taking more work although it runs, in words; null: nothing. Default null. */
  readonly unfit?: () => string | null
  /** Keeps the connections of all listeners down to their number; left out: nothing does. */
  readonly visitors?: Visitors | null
  /** Told of every route. */
  readonly onRoute?: (route: { readonly method: string | string[]; readonly url: string }) => void
  /** Null: this process does not have the role `ingest`. */
  readonly ingest: IngestService | null
  /** Adds the admin API to an instance whose requests are authenticated; null: without the role `ingest`. */
  readonly admin: ((app: FastifyInstance) => void) | null
}

// Room and event ids have up to 255 bytes, server names 230.
const MAX_PARAM_LENGTH = 255
/** Of what operators do: they have nothing to say yet. */
const MAX_BODY_BYTES = 16 * 1024

export function makeApp(options: AppOptions, serve: readonly Served[]): FastifyInstance {
  const { tokens, metricsToken, metrics, log, readiness, phase, ingest, admin, visitors = null } = options
  const logger: FastifyBaseLogger = log
  const app: FastifyInstance = Fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    serverFactory: (handler) => makeDoorServer(handler, visitors),
    bodyLimit: MAX_BODY_BYTES,
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    forceCloseConnections: 'idle',
    // The framework's own 503 is not a Matrix error; `phase` does it.
    return503OnClosing: false,
    frameworkErrors: (error, request, reply) => void answerWithError(error, request, reply),
    clientErrorHandler: (error, socket) => answerBroken(error, socket),
  })
  guardBodies(app, { visitors, isKnown })
  refuseOddText(app)
  if (options.onRoute !== undefined) app.addHook('onRoute', options.onRoute)
  useMatrixErrors(app)
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, parsed) => {
    readJson(body as Buffer, parsed)
  })
  app.addHook('onResponse', (request, reply, done) => {
    const { url } = request.routeOptions
    const ms = Math.round(reply.elapsedTime)
    log.debug({ method: request.method, path: url, status: reply.statusCode, ms }, 'answered')
    done()
  })

  const whyNot = (): string | null => {
    const now = phase()
    if (now !== 'running') return `limpet is ${now}; try again`
    const complaint = options.unfit?.() ?? null
    return complaint === null ? null : `${complaint}; this process takes no more work`
  }

  registerHealthRoutes(app, { readiness })
  const takes = ingest !== null && serve.includes('ingest')
  const shows = admin !== null && serve.includes('admin')
  if (takes || shows) registerReferenceRoutes(app)
  if (serve.includes('metrics')) registerMetricsRoute(app, { metrics, token: metricsToken })
  const guard = makeGuard(tokens)
  void app.register((scope, _options, done) => {
    scope.addHook('onRequest', (_request, reply, next) => {
      const why = whyNot()
      if (why === null) {
        next()
        return
      }
      // A process that goes on can let a client finish its body and read this.
      if (phase() !== 'running') void reply.header('connection', 'close')
      next(new MatrixError(503, 'M_LIMPET_UNAVAILABLE', why))
    })
    if (takes) registerIngestRoutes(scope, { service: ingest, guard })
    if (shows) {
      void scope.register((inner, _inner, ready) => {
        inner.addHook(
          'onRequest',
          guard(({ method }) => (method === 'GET' || method === 'HEAD' ? ['read', 'admin'] : ['admin'])),
        )
        admin(inner)
        ready()
      })
    }
    done()
  })
  return app
}

/** A missing body is not an error: actions have nothing to say. */
function readJson(body: Uint8Array, parsed: (error: Error | null, value?: unknown) => void): void {
  try {
    parsed(null, body.length === 0 ? undefined : parseJson(body, BODY_LIMITS))
  } catch (error) {
    const why = error instanceof JsonError ? error.message : 'the body is not valid JSON'
    parsed(new MatrixError(400, 'M_BAD_JSON', why))
  }
}
