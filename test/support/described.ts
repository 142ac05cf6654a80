/** Is an answer as the reference says? */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { z } from 'zod'
import { errorAnswer } from '../../src/api/error-codes.ts'
import { OPERATIONS } from '../../src/api/openapi.ts'
import { refusalsOf, type Operation } from '../../src/api/operation.ts'

/** `/v1/rooms/:roomId` as `/v1/rooms/{roomId}`. */
export const asDescribed = (url: string): string => url.replace(/:(\w+)/g, '{$1}')

const byRoute = new Map(OPERATIONS.map((one) => [`${one.method} ${one.path}`, one]))
/** Calls of later releases are refused by name, and are not described. */
export const comesLater = (url: string): boolean => url.startsWith('/_synapse/')

function operationOf({ method, routeOptions: { url } }: FastifyRequest): Operation | undefined {
  return byRoute.get(`${method} ${asDescribed(url ?? '')}`)
}

/** Null: it is none of the calls that are described. */
export function parametersOf(request: FastifyRequest): ReadonlySet<string> | null {
  const operation = operationOf(request)
  return operation === undefined ? null : new Set(Object.keys(operation.query ?? {}))
}

/** What is not as the reference says; null: nothing. */
export function complaintOf(request: FastifyRequest, reply: FastifyReply, payload: unknown): string | null {
  const { url } = request.routeOptions
  const { statusCode: status } = reply
  const said = `${request.method} ${url ?? ''} answers ${status}`
  // Nothing is at that path, or not for this method.
  if (request.is404 || url === undefined || comesLater(url)) return wrongIn(errorAnswer, payload, said)
  const operation = operationOf(request)
  if (operation === undefined) return `${said}: the route is not described`
  const { answer } = operation
  if (status !== answer.status) return refusal(operation, { status, payload, said })
  const type = String(reply.getHeader('content-type')).split(';')[0]
  const expected = 'text' in answer ? answer.text : 'application/json'
  if (type !== expected) return `${said} with ${type}, and not ${expected}`
  if ('text' in answer) return null
  const others = answer.or === undefined ? [] : [answer.or]
  const wrong = [answer.json, ...others].map((shape) => wrongIn(shape, payload, said))
  return wrong.includes(null) ? null : (wrong.at(-1) ?? null)
}

function refusal(
  operation: Operation,
  { status, payload, said }: { status: number; payload: unknown; said: string },
): string | null {
  const wrong = wrongIn(errorAnswer, payload, said)
  if (wrong !== null) return wrong
  const { errcode } = JSON.parse(payload as string) as { errcode: string }
  const isTold = refusalsOf(operation).some(([one, code]) => one === status && code === errcode)
  return isTold ? null : `${said} with ${errcode}, which is not described`
}

function wrongIn(shape: z.ZodType, payload: unknown, said: string): string | null {
  if (typeof payload !== 'string') return `${said} with what is no text`
  const { error } = shape.safeParse(JSON.parse(payload))
  const [issue] = error?.issues ?? []
  return issue === undefined ? null : `${said}: ${issue.path.join('.')}: ${issue.message}`
}
