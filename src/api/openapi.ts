/**
 * The API as an OpenAPI 3.1 document: `docs/openapi.json`, which `GET /openapi.json` serves. It is made of the shapes and operations in this folder.
 */
import { z } from 'zod'
import { ACTING } from './acting-operations.ts'
import { LOOKING } from './admin-operations.ts'
import { ERROR_CODES, errorAnswer, type Errcode } from './error-codes.ts'
import { PATH_PARAMETERS, refusalsOf, type Operation } from './operation.ts'
import { PRODUCER_OPERATIONS } from './producer-operations.ts'
import { answerShapes, requestShapes } from './shapes.ts'
import { WATCHING } from './watching-operations.ts'

export const OPERATIONS: readonly Operation[] = [...PRODUCER_OPERATIONS, ...LOOKING, ...ACTING, ...WATCHING]

type Json = Record<string, unknown>

/** The version of the API: it grows with the paths (`/v1`), not with releases. */
const API_VERSION = '1'

const ABOUT = `The HTTP API of limpet. A homeserver feeds it items (Feeding, Reading back), operators look and act, monitoring watches.

Each call names the kinds of tokens that may ask. Every refusal is an Error with its HTTP status. Fields may be added to answers: leave out what you do not know. An unknown path is 404, an unknown method 405, both with \`M_UNRECOGNIZED\`.`

export function openApi(): Json {
  return {
    openapi: '3.1.0',
    info: {
      title: 'limpet',
      version: API_VERSION,
      description: ABOUT,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: 'http://127.0.0.1:8469', description: 'Where it listens by default.' }],
    tags: [...new Set(OPERATIONS.map(({ group }) => group))].map((name) => ({ name })),
    paths: pathsOf(OPERATIONS),
    components: {
      schemas: { ...componentsOf('input'), ...componentsOf('output') },
      securitySchemes: Object.fromEntries(
        Object.entries(SCHEMES).map(([name, description]) => [
          name,
          { type: 'http', scheme: 'bearer', description },
        ]),
      ),
    },
  }
}

const SCHEMES = {
  ingest: 'A token of `tokens.ingest`: feeds and reads back.',
  read: 'A token of `tokens.read`: looks.',
  admin: 'A token of `tokens.admin`: looks and acts.',
  metrics: '`metrics.token`, where it is set.',
}

function pathsOf(operations: readonly Operation[]): Json {
  const paths: Record<string, Json> = {}
  for (const one of operations) {
    const at = (paths[one.path] ??= {})
    at[one.method.toLowerCase()] = operationOf(one)
  }
  return paths
}

function operationOf(one: Operation): Json {
  const { name, group, about, more, access, body } = one
  const parameters = [...pathParameters(one), ...queryParameters(one)]
  return {
    operationId: name,
    tags: [group],
    summary: about,
    ...(more !== undefined && { description: more }),
    security:
      access === null
        ? []
        : access === 'metrics'
          ? [{}, { metrics: [] }]
          : access.map((kind) => ({ [kind]: [] })),
    ...(parameters.length > 0 && { parameters }),
    ...(body !== undefined && { requestBody: { required: body.required, content: contentOf(body) } }),
    responses: { [one.answer.status]: answered(one), ...refused(one) },
  }
}

const pathParameters = ({ path }: Operation): Json[] =>
  [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => ({
    ...{ name, in: 'path', required: true, ...PATH_PARAMETERS[name] },
    schema: { type: 'string', minLength: 1, maxLength: 255 },
  }))

const queryParameters = ({ query = {} }: Operation): Json[] =>
  Object.entries(query).map(([name, shape]) => {
    const { description, ...schema } = schemaOf(shape, 'input')
    const required = !shape.safeParse(undefined).success
    return { name, in: 'query', required, ...(description !== undefined && { description }), schema }
  })

function contentOf({ json, lines }: NonNullable<Operation['body']>): Json {
  return {
    'application/json': { schema: referenceTo(json, 'input') },
    ...(lines !== undefined && {
      'application/x-ndjson': {
        schema: { type: 'string', description: 'An Item a line; empty lines are skipped.' },
      },
    }),
  }
}

function answered({ answer }: Operation): Json {
  if ('text' in answer)
    return { description: 'Done.', content: { [answer.text]: { schema: { type: 'string' } } } }
  const shapes = [answer.json, ...(answer.or === undefined ? [] : [answer.or])].map((shape) =>
    referenceTo(shape, 'output'),
  )
  const schema = shapes.length === 1 ? shapes[0] : { anyOf: shapes }
  return { description: 'Done.', content: { 'application/json': { schema } } }
}

function refused(one: Operation): Json {
  const byStatus = new Map<number, [Errcode, string][]>()
  for (const [status, errcode, when] of refusalsOf(one))
    byStatus.set(status, [...(byStatus.get(status) ?? []), [errcode, when]])
  return Object.fromEntries([...byStatus].map(([status, rows]) => [status, refusalOf(status, rows)]))
}

function refusalOf(status: number, rows: readonly [Errcode, string][]): Json {
  const codes = [...new Set(rows.map(([errcode]) => errcode))]
  const lines = rows.map(
    ([errcode, when]) => `\`${errcode}\`: ${when === '' ? ERROR_CODES[errcode].when : when}`,
  )
  return {
    description: lines.join('\n'),
    ...(status === 429 && {
      headers: { 'Retry-After': { description: 'Seconds.', schema: { type: 'integer' } } },
    }),
    content: {
      'application/json': {
        schema: { allOf: [referenceTo(errorAnswer, 'output'), { properties: { errcode: { enum: codes } } }] },
      },
    },
  }
}

function referenceTo(shape: z.ZodType, io: 'input' | 'output'): Json {
  const id = (io === 'input' ? requestShapes : answerShapes).get(shape)?.id
  return id === undefined ? schemaOf(shape, io) : { $ref: `#/components/schemas/${id}` }
}

function componentsOf(io: 'input' | 'output'): Json {
  const registry = io === 'input' ? requestShapes : answerShapes
  const { schemas } = z.toJSONSchema(registry, {
    ...{ io, override: plain(io), target: 'draft-2020-12' },
    uri: (id) => `#/components/schemas/${id}`,
  })
  // In the order of their names, whichever file was loaded first.
  const sorted = Object.entries(schemas).sort(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(sorted.map(([id, schema]) => [id, withoutNames(schema)]))
}

const schemaOf = (shape: z.ZodType, io: 'input' | 'output'): Json =>
  withoutNames(z.toJSONSchema(shape, { io, override: plain(io), target: 'draft-2020-12' }))

function withoutNames(schema: Json): Json {
  return Object.fromEntries(Object.entries(schema).filter(([key]) => key !== '$schema' && key !== '$id'))
}

/** Answers may get further fields, and the largest whole number that JavaScript has says nothing. */
const plain =
  (io: 'input' | 'output') =>
  ({ jsonSchema }: { jsonSchema: Json }): void => {
    if (io === 'output' && jsonSchema['additionalProperties'] === false)
      delete jsonSchema['additionalProperties']
    if (jsonSchema['maximum'] === Number.MAX_SAFE_INTEGER) delete jsonSchema['maximum']
    if (jsonSchema['minimum'] === Number.MIN_SAFE_INTEGER) delete jsonSchema['minimum']
  }
