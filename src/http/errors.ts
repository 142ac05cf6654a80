/**
 * Every refusal is a Matrix error, `{"errcode", "error"}` with the HTTP status, whether it comes from a route, the
 * framework or an unavailable database.
 *
 * The text of an unexpected error goes to the log and not to the client.
 */
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { isUnavailable } from '../store/db.ts'
import { AdminRefusal } from './admin/refusal.ts'

export class MatrixError extends Error {
  override readonly name = 'MatrixError'
  readonly status: number
  readonly errcode: string
  /** Further fields of the answer, such as `retry_after_ms`. */
  readonly more: Readonly<Record<string, unknown>>

  constructor(
    status: number,
    errcode: string,
    message: string,
    more: Readonly<Record<string, unknown>> = {},
  ) {
    super(message)
    this.status = status
    this.errcode = errcode
    this.more = more
  }
}

const MESSAGES: Readonly<Record<string, [status: number, errcode: string, message: string]>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: [413, 'M_TOO_LARGE', 'the body is too large'],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: [
    415,
    'M_INVALID_PARAM',
    'the content type must be application/json (or application/x-ndjson for items)',
  ],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: [
    400,
    'M_BAD_JSON',
    "the body's length does not match its content-length header",
  ],
  FST_ERR_BAD_URL: [400, 'M_INVALID_PARAM', 'the path is not a valid URL'],
  FST_ERR_MAX_PARAM_LENGTH: [414, 'M_INVALID_PARAM', 'the path is too long'],
}

/** `error` as what the client is told. */
export function asMatrixError(error: unknown): MatrixError {
  if (error instanceof MatrixError) return error
  if (error instanceof AdminRefusal) return new MatrixError(error.status, error.errcode, error.message)
  if (isUnavailable(error))
    return new MatrixError(503, 'M_LIMPET_UNAVAILABLE', 'the database is unavailable; try again')
  const { code, statusCode, message } = error as Partial<FastifyError>
  const known = code === undefined ? undefined : MESSAGES[code]
  if (known !== undefined) return new MatrixError(...known)
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return new MatrixError(statusCode, 'M_INVALID_PARAM', message ?? 'the request is invalid')
  return new MatrixError(500, 'M_UNKNOWN', "internal error; see limpet's log")
}

/** Answers with `error`, and logs it where it is a surprise. */
export function answerWithError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const told = asMatrixError(error)
  if (told.status === 500)
    request.log.error({ err: error, path: request.routeOptions.url }, 'a request failed')
  // The framework would close the connection, with the rest of the body unread: that resets it, and a client that is
  // still writing never sees the answer. What becomes of the rest, `door.ts` says.
  if (told.status === 413) void reply.removeHeader('connection')
  const retryAfterMs = told.more['retry_after_ms']
  if (typeof retryAfterMs === 'number') void reply.header('retry-after', Math.ceil(retryAfterMs / 1000))
  return reply.code(told.status).send({ errcode: told.errcode, error: told.message, ...told.more })
}

/** Makes `app` answer every error so, unknown paths (404) and methods (405) included. */
export function useMatrixErrors(app: FastifyInstance): void {
  const paths: { pattern: RegExp; method: string }[] = []
  app.addHook('onRoute', ({ url, method }) => {
    const pattern = new RegExp(`^${url.replace(/[.+*]/g, '\\$&').replace(/:[a-zA-Z]+/g, '[^/]+')}$`)
    for (const one of [method].flat()) paths.push({ pattern, method: one })
  })
  app.setErrorHandler(answerWithError)
  const refuse = (request: FastifyRequest, reply: FastifyReply): MatrixError => {
    const [path = ''] = request.url.split('?')
    const methods = paths.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method)
    if (methods.length === 0) return new MatrixError(404, 'M_UNRECOGNIZED', 'there is nothing at this path')
    void reply.header('allow', methods.join(', '))
    const message = `${request.method} is not allowed here; use ${methods.join(' or ')}`
    return new MatrixError(405, 'M_UNRECOGNIZED', message)
  }
  // As a hook: what stands at the place of a handler runs only after the body was read and parsed.
  app.addHook('onRequest', (request, reply, next) => {
    if (request.is404) next(refuse(request, reply))
    else next()
  })
  app.setNotFoundHandler((request, reply) => {
    throw refuse(request, reply)
  })
}
