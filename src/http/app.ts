/**
 * What one listener serves: health always, the rest as its `serve` list and the process's roles allow.
 *
 * While the daemon starts or stops, or is not fit to go on, everything but health and metrics answers 503 and says
 * why: nothing is half taken.
 */
import Fastify, { LogController } from 'fastify'
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import type { Served, Tokens } from '../config.ts'
import type { Log } from '../observe/log.ts'
import { JsonError } from '../matrix/json-value.ts'
import { parseJson } from '../matrix/strict-json.ts'
import type { Metrics } from '../observe/metrics.ts'
import { makeGuard } from './auth.ts'
import { MatrixError, answerWithError, useMatrixErrors } from './errors.ts'
import { registerHealthRoutes, registerMetricsRoute } from './health-routes.ts'
import type { Readiness } from './health-routes.ts'
import { registerIngestRoutes } from './ingest-routes.ts'
import type { IngestService } from './ingest-routes.ts'

export type Phase = 'starting' | 'running' | 'stopping'

export interface AppOptions {
  readonly tokens: Tokens
  readonly metricsToken: string | null
  readonly metrics: Metrics
  readonly log: Log
  readonly readiness: Readiness
  readonly phase: () => Phase
  /** What keeps this process from taking more work although it runs, in words; null: nothing. Default null. */
  readonly unfit?: () => string | null
  /** Null: this process does not have the role `ingest`. */
  readonly ingest: IngestService | null
  /** Adds the admin API to an instance whose requests are authenticated; null: without the role `ingest`. */
  readonly admin: ((app: FastifyInstance) => void) | null
}

// A slow sender of a body holds a connection no longer than this.
const REQUEST_TIMEOUT_MS = 120_000
// Room and event ids have up to 255 bytes, server names 230.
const MAX_PARAM_LENGTH = 255

export function makeApp(options: AppOptions, serve: readonly Served[]): FastifyInstance {
  const { tokens, metricsToken, metrics, log, readiness, phase, ingest, admin } = options
  const logger: FastifyBaseLogger = log
  const app: FastifyInstance = Fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    requestTimeout: REQUEST_TIMEOUT_MS,
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    forceCloseConnections: 'idle',
    // The framework's own 503 is no Matrix error; `phase` does it.
    return503OnClosing: false,
    frameworkErrors: (error, request, reply) => void answerWithError(error, request, reply),
    clientErrorHandler(error, socket) {
      // Not HTTP, or not in time: there is no request to answer.
      if (error.code === 'ECONNRESET' || !socket.writable) return
      const body = '{"errcode":"M_UNRECOGNIZED","error":"this is no HTTP request"}'
      const head = `HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: ${body.length}`
      socket.end(`${head}\r\nconnection: close\r\n\r\n${body}`)
    },
  })
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
    if (ingest !== null && serve.includes('ingest')) registerIngestRoutes(scope, { service: ingest, guard })
    if (admin !== null && serve.includes('admin')) {
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

/** No body is no error: actions have nothing to say. */
function readJson(body: Uint8Array, parsed: (error: Error | null, value?: unknown) => void): void {
  try {
    parsed(null, body.length === 0 ? undefined : parseJson(body))
  } catch (error) {
    const why = error instanceof JsonError ? error.message : 'this is no JSON'
    parsed(new MatrixError(400, 'M_BAD_JSON', why))
  }
}
