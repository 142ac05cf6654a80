/**
 * The homeserver's side of the API (contract, section 3): it takes items, and says what it was told.
 *
 * All or nothing: after 200 every item is durable, after any other answer none is. The exception is 503: the outcome
 * is unknown, and `/v1/ingest/position` tells it.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Append, AppendResult } from '../../ingest/append.ts'
import { BodyError, ItemError } from '../../ingest/item-error.ts'
import { parseJsonBody, parseLines, parseServersUp, parseSource } from '../../ingest/parse-body.ts'
import type { ParsedBody } from '../../ingest/parse-body.ts'
import type { Db } from '../../store/db.ts'
import { ROOM_LIST_ORDERS, listRooms, roomByName, sourcePosition } from '../../store/ingest/read-back.ts'
import { pageOf, pagingOf, textOf } from '../admin/query.ts'
import type { Guard } from '../auth.ts'
import { MatrixError } from '../errors.ts'
import { unreachableSince } from './unreachable.ts'

export interface IngestService {
  readonly serverName: string
  readonly stickyFieldNames: readonly string[]
  readonly append: Append
  /** What is read back comes from here. */
  readonly db: Db
}

const MAX_BODY_BYTES = 16 * 1024 * 1024
/** A thousand names, and some space around them. */
const MAX_ADVICE_BYTES = 1024 * 1024
const JSON_TYPE = 'application/json'
const LINES_TYPE = 'application/x-ndjson'

export function registerIngestRoutes(
  app: FastifyInstance,
  { service, guard }: { service: IngestService; guard: Guard },
): void {
  const mayIngest = guard(() => ['ingest'])
  const maySee = guard(() => ['ingest', 'read'])
  const { db, append } = service

  void app.register((scope, _options, done) => {
    // The bodies are read here, strictly, and not by the framework.
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser([JSON_TYPE, LINES_TYPE], { parseAs: 'buffer' }, (_request, body, parsed) => {
      parsed(null, body)
    })

    scope.post('/v1/ingest', { onRequest: mayIngest, bodyLimit: MAX_BODY_BYTES }, async (request) => {
      const body = await readBody(request, service)
      return answerOf(await append(body.request), body.shownIndex)
    })

    const few = { onRequest: mayIngest, bodyLimit: MAX_ADVICE_BYTES }
    scope.post('/v1/ingest/server_up', few, async (request, reply) => {
      const asked = await refusing(() => parseServersUp(bytesOf(request)))
      answerOf(await append(asked), (place) => place)
      return reply.code(202).send({})
    })
    done()
  })

  app.get('/v1/ingest/position', { onRequest: maySee }, async ({ query }) => {
    const source = await refusing(() => parseSource(textOf(query, 'source') ?? undefined))
    const { position, sourceToken } = await sourcePosition(db, source)
    return { position, source_token: sourceToken }
  })

  app.get('/v1/ingest/unreachable', { onRequest: maySee }, ({ query }) =>
    unreachableSince(db, textOf(query, 'since')),
  )

  app.get('/v1/rooms', { onRequest: maySee }, async ({ query }) => {
    const page = pageOf(query, ROOM_LIST_ORDERS)
    const list = await listRooms(db, page)
    return { rooms: list.rows, ...pagingOf(page, list) }
  })

  app.get<{ Params: { roomId: string } }>('/v1/rooms/:roomId', { onRequest: maySee }, async ({ params }) => {
    const room = await roomByName(db, params.roomId)
    if (room === null) throw new MatrixError(404, 'M_NOT_FOUND', 'this room is not known')
    return room
  })
}

async function readBody(request: FastifyRequest, service: IngestService): Promise<ParsedBody> {
  const body = bytesOf(request)
  const query = request.query as Record<string, unknown>
  return refusing(() => {
    if (typeOf(request) === LINES_TYPE) return parseLines(body, query, service)
    refuseParameters(query)
    return parseJsonBody(body, service)
  })
}

/** If `if_source_token` in the query were ignored, a retry would be stored twice, so it is refused. */
function refuseParameters(query: Readonly<Record<string, unknown>>): void {
  const [name] = Object.keys(query)
  if (name !== undefined)
    throw new BodyError(name.slice(0, 100), 'belongs in the JSON body, beside items, not in the query string')
}

function bytesOf(request: FastifyRequest): Buffer {
  const encoding = request.headers['content-encoding'] ?? ''
  if (!isIdentity(encoding))
    throw new MatrixError(415, 'M_INVALID_PARAM', `content-encoding ${encoding} is not supported`)
  if (!Buffer.isBuffer(request.body)) throw new MatrixError(400, 'M_BAD_JSON', 'the body is missing')
  return request.body
}

/** RFC 9110, section 8.4.1: names of content codings are the same in any case; there may be several, or none. */
function isIdentity(encoding: string): boolean {
  return encoding.split(',').every((one) => ['', 'identity'].includes(one.trim().toLowerCase()))
}

function typeOf(request: FastifyRequest): string {
  return (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? ''
}

function answerOf(result: AppendResult, shownIndex: ParsedBody['shownIndex']): object {
  switch (result.kind) {
    case 'taken':
      return {
        position: result.position,
        accepted: result.accepted,
        duplicates: result.duplicates,
        ignored: result.ignored.map(({ index, value }) => ({ index: shownIndex(index), value })),
        unknown_rooms: result.unknownRooms,
      }
    case 'token_mismatch':
      throw new MatrixError(
        409,
        'M_LIMPET_TOKEN_MISMATCH',
        'if_source_token does not match the stored token: these items were already taken, or an earlier batch is missing',
        {
          source_token: result.sourceToken,
        },
      )
    case 'invalid':
      throw new MatrixError(400, 'M_INVALID_PARAM', result.message, {
        index: shownIndex(result.index),
        path: result.path,
      })
    case 'unknown_rooms':
      throw new Error('`onlyKnownRooms` is set by the Synapse source only')
    case 'unavailable':
      throw new MatrixError(503, 'M_LIMPET_UNAVAILABLE', result.message)
    case 'full':
      throw new MatrixError(429, 'M_LIMIT_EXCEEDED', 'the database cannot keep up; try again later', {
        retry_after_ms: result.retryAfterMs,
      })
  }
}

async function refusing<T>(parse: () => T | Promise<T>): Promise<T> {
  try {
    return await parse()
  } catch (error) {
    throw refusal(error)
  }
}

function refusal(error: unknown): unknown {
  if (!(error instanceof BodyError || error instanceof ItemError)) return error
  const where = error instanceof ItemError ? { index: error.index, path: error.path } : {}
  return new MatrixError(error.errcode === 'M_TOO_LARGE' ? 413 : 400, error.errcode, error.message, where)
}
