/**
 * Who sends a request, and may they? Bearer tokens of three kinds (contract, section 2), compared in constant time.
 *
 * An ingest token may not read or administer, and an admin token may not ingest. The name of the token stays with the
 * request, because operators' actions are recorded under it.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import type { TokenKind, Tokens } from '../config/config.ts'
import { MatrixError } from './errors.ts'

export interface Caller {
  readonly kind: TokenKind
  /** The token's name in the configuration. */
  readonly name: string
}

const callers = new WeakMap<FastifyRequest, Caller>()

/** Callers that came with the token for metrics: it says nothing else about them. */
const watchers = new WeakSet<FastifyRequest>()

/** Whether a request came with a token that may do what it asks for. */
export function isKnown(request: FastifyRequest): boolean {
  return callers.has(request) || watchers.has(request)
}

/** The name of the token that an authenticated request came with. */
export function callerName(request: FastifyRequest): string {
  return callers.get(request)?.name ?? 'nobody'
}

/** A hook that lets a request through when its token is of one of `kinds`, for its method. */
export type Guard = (
  kinds: (request: FastifyRequest) => readonly TokenKind[],
) => (request: FastifyRequest) => Promise<void>

/** `tokens` is asked at each request. */
export function makeGuard(tokens: () => Tokens): Guard {
  let of = tokens()
  let known = digestsOf(of)
  return (kinds) => (request) => {
    const digest = digestOf(bearerOf(request))
    const now = tokens()
    if (now !== of) known = digestsOf((of = now))
    // All are compared, so that the time says nothing about which one was close. Digests have one length.
    const found = known.filter((one) => timingSafeEqual(one.digest, digest))[0]
    if (found === undefined) throw new MatrixError(401, 'M_UNKNOWN_TOKEN', 'unknown token')
    const allowed = kinds(request)
    if (!allowed.includes(found.caller.kind))
      throw new MatrixError(
        403,
        'M_FORBIDDEN',
        `this needs a token of the kind ${allowed.join(' or ')}, not ${found.caller.kind}`,
      )
    callers.set(request, found.caller)
    return Promise.resolve()
  }
}

const digestsOf = (tokens: Tokens) =>
  (['ingest', 'read', 'admin'] as const).flatMap((kind) =>
    tokens[kind].map(({ name, token }) => ({ caller: { kind, name }, digest: digestOf(token) })),
  )

/** Lets through a caller that brings `token`, which is asked at each request; null: every caller. */
export function makeTokenGuard(token: () => string | null): (request: FastifyRequest) => Promise<void> {
  return (request) => {
    const wanted = token()
    if (wanted === null) return Promise.resolve()
    if (timingSafeEqual(digestOf(wanted), digestOf(bearerOf(request)))) {
      watchers.add(request)
      return Promise.resolve()
    }
    throw new MatrixError(401, 'M_UNKNOWN_TOKEN', 'unknown token')
  }
}

function bearerOf(request: FastifyRequest): string {
  const [, token] = /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? '') ?? []
  if (token !== undefined) return token
  throw new MatrixError(401, 'M_MISSING_TOKEN', 'missing header: Authorization: Bearer TOKEN')
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}
