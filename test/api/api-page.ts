/** `docs/api.md`: how to feed limpet and how to look after it over HTTP, with every item, call and answer from the reference. */
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { OPERATIONS } from '../../src/api/openapi.ts'
import { item } from '../../src/api/item-shapes.ts'
import type { Operation } from '../../src/api/operation.ts'
import { answerShapes } from '../../src/api/shapes.ts'
import { asPage, table, WRITTEN_BY } from './markdown.ts'

const EXAMPLE = ['a.example', 'b.example:8448']
const digest = createHash('sha256').update(EXAMPLE.join('\n')).digest('base64').replace(/=+$/, '')

const HEAD = `# The HTTP API

How a homeserver feeds limpet, and how operators look and act. [The contract](contract.md) says what is promised; this page says how to ask. The same for programs is
[openapi.json](openapi.json), which a running limpet serves at \`/openapi.json\`, and as a page at \`/docs\`. For Node.js there is [a typed client](client.md).

${WRITTEN_BY}

## Tokens

\`Authorization: Bearer TOKEN\`. There are three kinds: _ingest_ feeds and reads back, _read_ looks, _admin_ looks and acts. Health and the reference need none, and \`/metrics\` only
where \`metrics.token\` is set. Every refusal is \`{"errcode", "error"}\`: [errors](errors.md) says what to do about each.

## Feeding

\`POST /v1/ingest\` takes up to 1,000 items at once. After 200 all of them are durable; after anything else none is taken, but for 503 and a lost answer, where the
outcome is unknown.

**As JSON**: \`{"items": [ITEM, …], "source": "hs", "source_token": "s42", "if_source_token": "s41"}\`.

**As NDJSON** (\`Content-Type: application/x-ndjson\`): an item a line, and the other three in the query string, where an empty token is null. Empty lines are skipped, and count for
\`index\`.

**Exactly once.** \`source_token\` is stored in the commit of the items, and with \`if_source_token\` a request is taken only where that is what is stored. So a producer that got no
answer sends the same request again. Taken now: 200. Taken before: 409 \`M_LIMPET_TOKEN_MISMATCH\`, whose \`source_token\` is the one that it was about to store. Any other
stored token says that a batch is missing, or that another instance feeds under the same name. After a restart \`GET /v1/ingest/position?source=hs\` says where to go on. Without
tokens only an event is recognised when it comes again.

**Order.** Items of one request, and requests one after the other, have their order in the stream. What must keep an order (everything of one room) goes through one source, one request at a time.

**Limits.** A body has at most 16 MiB and is nested 200 levels deep. An item has at most 2 MiB and 65,536 JSON values, a PDU 65,536 bytes of canonical JSON without its
\`unsigned\`, the content of an EDU 1 MiB. Duplicate keys, halves of surrogate pairs and bytes that are not UTF-8 are refused.

**When the database cannot keep up**: 429 with \`retry_after_ms\`. Nothing was taken; send the same request after that time.

## Items
`

const BACK = `## Reading back

\`GET /v1/rooms\` lists the rooms that limpet was told of, with a digest of the remote servers in each; a producer compares, and mends a room by a \`servers\` item with
\`set\`. **Digest**: the names sorted by code point, joined by a newline (without one at the end), SHA-256 of that as UTF-8, in base64 without padding. Of ${EXAMPLE.map((one) => `\`${one}\``).join(' and ')} it is
\`${digest}\`; of no server, that of the empty text.

\`GET /v1/ingest/unreachable?since=TOKEN\` says which servers limpet fails to reach, so that the homeserver need not try them for requests of its own.

## Lists

Lists are paged with \`from\`, \`limit\` (100, at most 1,000), \`order_by\` and \`dir\` (\`f\`, \`b\`). They answer \`total\`, and \`next_token\` where there is more: the next page's \`from\`.
In lists backlog is as of the last sweep (\`as_of\`); of one destination it is exact up to 10,000.
`

const GROUPS: Readonly<Record<Operation['group'], string>> = {
  Feeding: '',
  'Reading back': '',
  Looking: 'Looking: a read or an admin token.',
  Acting: 'Acting: an admin token. Each act is recorded under its name (`GET /v1/audit`).',
  Watching: 'Watching.',
}

export function apiPage(): Promise<string> {
  const items = item.options.flatMap((one) => [
    `### ${[...one.shape.type.values][0] ?? ''}`,
    '',
    one.description ?? '',
    '',
    table(
      ['Field', '', 'Meaning'],
      Object.entries(one.shape as Record<string, z.ZodType>)
        .filter(([field]) => field !== 'type')
        .map(([field, shape]) => [
          `\`${field}\``,
          isOptional(shape) ? 'optional' : '',
          shape.description ?? '',
        ]),
    ),
  ])
  const groups = Object.entries(GROUPS).flatMap(([group, about]) => [
    ...(about === '' ? [`_${group}_`, ''] : [about, '']),
    table(
      ['Call', 'Does', 'Parameters', 'Answers'],
      OPERATIONS.filter((one) => one.group === group).map(rowOf),
    ),
  ])
  return asPage([
    HEAD,
    ...items,
    BACK,
    '## All calls',
    '',
    ...groups,
    '## What is answered',
    '',
    ...answers(),
  ])
}

const isOptional = (shape: z.ZodType) => shape.safeParse(undefined).success

function rowOf({ method, path, about, query = {}, answer }: Operation): string[] {
  const shapes = 'text' in answer ? [] : [answer.json, ...(answer.or === undefined ? [] : [answer.or])]
  const names = shapes.map((shape) => answerShapes.get(shape)?.id).filter((id) => id !== undefined)
  const told =
    'text' in answer ? `\`${answer.text}\`` : names.map((id) => `[${id}](#${id.toLowerCase()})`).join(' or ')
  return [
    `\`${method} ${path}\``,
    about,
    Object.keys(query)
      .map((name) => `\`${name}\``)
      .join(', '),
    `${answer.status} ${told}`.trim(),
  ]
}

/** Every named answer, in the order of their names. */
function answers(): string[] {
  const registered = z.toJSONSchema(answerShapes, { uri: (id) => id, unrepresentable: 'any' }).schemas
  const sorted = Object.entries(registered).sort(([a], [b]) => (a < b ? -1 : 1))
  return sorted.flatMap(([id, schema]) => [
    `### ${id}`,
    '',
    fieldsOf(schema as JsonShape).length === 0
      ? '`{}`\n'
      : table(['Field', '', 'Meaning'], fieldsOf(schema as JsonShape)),
  ])
}

interface JsonShape {
  $ref?: string
  description?: string
  properties?: Record<string, JsonShape>
  required?: string[]
  items?: JsonShape
  anyOf?: JsonShape[]
  type?: string
  enum?: unknown[]
}

function fieldsOf({ properties = {}, required = [] }: JsonShape, within = ''): string[][] {
  return Object.entries(properties).flatMap(([field, shape]) => {
    const options = [shape, ...(shape.anyOf ?? [])].map((one) => one.items ?? one)
    const isNull = shape.anyOf?.some(({ type }) => type === 'null') === true
    const link = options.flatMap(({ $ref }) =>
      $ref === undefined ? [] : [`[${$ref}](#${$ref.toLowerCase()})`],
    )
    const choices =
      options.find((one) => one.enum !== undefined)?.enum?.map((one) => `\`${String(one)}\``) ?? []
    const note = [required.includes(field) ? [] : ['optional'], isNull ? ['or null'] : []].flat().join(', ')
    const told = [shape.description, choices.join(', '), ...link].filter(
      (one) => one !== undefined && one !== '',
    )
    const inner = options.find((one) => one.properties !== undefined)
    return [
      [`\`${within}${field}\``, note, told.join(' ')],
      ...(inner === undefined ? [] : fieldsOf(inner, `${within}${field}.`)),
    ]
  })
}
