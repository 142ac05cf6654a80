/**
 * The body of a request to take items, JSON or NDJSON, as an `IngestRequest`.
 *
 * A big request is the hottest work that ingest does. It is done in slices, so that sends and lease renewals of
 * the same process go on meanwhile; reading the JSON of one body (at most 16 MiB) is the longest piece in one go.
 */
import { isUtf8 } from 'node:buffer'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { JsonError, isJsonObject } from '../matrix/json-value.ts'
import type { JsonObject, JsonValue } from '../matrix/json-value.ts'
import { parseJson } from '../matrix/strict-json.ts'
import type { IngestRequest } from './append.ts'
import { BodyError, ItemError, whyOf } from './item-error.ts'
import type { Item } from './items.ts'
import { parseItem } from './parse-item.ts'
import type { ParseOptions } from './parse-item.ts'

export const MAX_ITEMS = 1000
const MAX_TOKEN = 1024
/** After so many items, or so many characters of PDUs, others have a turn. */
const SLICE_ITEMS = 50
const SLICE_CHARACTERS = 256 * 1024

export interface ParsedBody {
  readonly request: IngestRequest
  /** The index to show for the item at this place of `request.items`. */
  readonly shownIndex: (place: number) => number
}

/** Reads `{"items": […], "source", "source_token", "if_source_token"}`. Throws `BodyError` or `ItemError`. */
export async function parseJsonBody(body: Uint8Array, options: ParseOptions): Promise<ParsedBody> {
  const whole = readJson(body)
  if (!isJsonObject(whole)) throw new BodyError('', 'the body must be an object', 'M_BAD_JSON')
  for (const key of Object.keys(whole))
    if (!['items', 'source', 'source_token', 'if_source_token'].includes(key))
      throw new BodyError(key.slice(0, 100), 'is no field of this request')
  const nodes = whole['items']
  if (!Array.isArray(nodes))
    throw new BodyError('items', nodes === undefined ? 'is missing' : 'must be a list')
  refuseTooMany(nodes.length)
  const from = producerOf(whole)
  const items = await inSlices(nodes, (node, index) => parseItem(node, index, options))
  return { request: { ...from, items }, shownIndex: (place) => place }
}

/** Reads an item a line; `query` holds what stands beside `items` in JSON. Throws `BodyError` or `ItemError`. */
export async function parseLines(
  body: Uint8Array,
  query: Readonly<Record<string, unknown>>,
  options: ParseOptions,
): Promise<ParsedBody> {
  if (!isUtf8(body)) throw new BodyError('', 'the body is not UTF-8', 'M_BAD_JSON')
  const lines: { text: string; index: number }[] = []
  for (const [index, text] of Buffer.from(body.buffer, body.byteOffset, body.byteLength)
    .toString()
    .split('\n')
    .entries())
    if (/\S/.test(text)) lines.push({ text, index })
  refuseTooMany(lines.length)
  const from = producerOf(queryAsBody(query))
  const items = await inSlices(lines, ({ text, index }) => parseItem(readLine(text, index), index, options))
  return { request: { ...from, items }, shownIndex: (place) => lines[place]?.index ?? place }
}

/** Reads `{"servers": [server]}` as that many `server_up` items. Throws `BodyError`. */
export function parseServersUp(body: Uint8Array): IngestRequest {
  const whole = readJson(body)
  if (!isJsonObject(whole)) throw new BodyError('', 'the body must be an object', 'M_BAD_JSON')
  for (const key of Object.keys(whole))
    if (key !== 'servers') throw new BodyError(key.slice(0, 100), 'is no field of this request')
  const servers = whole['servers']
  if (!Array.isArray(servers))
    throw new BodyError('servers', servers === undefined ? 'is missing' : 'must be a list')
  refuseTooMany(servers.length)
  const items = servers.map((server, at): Item => {
    if (typeof server !== 'string') throw new BodyError(`servers.${at}`, 'must be text')
    return { type: 'server_up', server }
  })
  return { source: 'default', sourceToken: undefined, ifSourceToken: undefined, items }
}

async function inSlices<T>(parts: readonly T[], parse: (part: T, index: number) => Item): Promise<Item[]> {
  const items: Item[] = []
  let characters = 0
  for (const [index, part] of parts.entries()) {
    if ((index > 0 && index % SLICE_ITEMS === 0) || characters > SLICE_CHARACTERS) {
      await nextTurn()
      characters = 0
    }
    const item = parse(part, index)
    if ('pdu' in item) characters += item.pdu.length
    items.push(item)
  }
  return items
}

function refuseTooMany(count: number): void {
  if (count > MAX_ITEMS)
    throw new BodyError('items', `${count} items, more than ${MAX_ITEMS} in one request`, 'M_TOO_LARGE')
}

/** A parameter without a value (`if_source_token=`) is null: nothing stored yet. */
function queryAsBody(query: Readonly<Record<string, unknown>>): JsonObject {
  const body: JsonObject = {}
  for (const [key, value] of Object.entries(query)) {
    if (key !== 'source' && key !== 'source_token' && key !== 'if_source_token')
      throw new BodyError(key.slice(0, 100), 'is no parameter of this request')
    if (typeof value !== 'string') throw new BodyError(key, 'must be there once')
    body[key] = value === '' && key !== 'source' ? null : value
  }
  return body
}

function producerOf(body: JsonObject): Omit<IngestRequest, 'items'> {
  return {
    source: parseSource(body['source']),
    sourceToken: tokenOf(body, 'source_token'),
    ifSourceToken: tokenOf(body, 'if_source_token'),
  }
}

/** The name of a producer's stream; `default` where none is given. */
export function parseSource(value: JsonValue | undefined): string {
  if (value === undefined) return 'default'
  if (typeof value === 'string' && /^[a-z0-9_.-]{1,64}$/.test(value)) return value
  throw new BodyError('source', 'must be 1 to 64 of the characters a-z 0-9 _ . -')
}

function tokenOf(body: JsonObject, key: string): string | null | undefined {
  const value = body[key]
  if (value === undefined || value === null) return value
  if (typeof value !== 'string') throw new BodyError(key, 'must be text or null')
  if (value === '') throw new BodyError(key, 'must not be empty; null stands for none')
  if (value.length > MAX_TOKEN || value.includes('\0'))
    throw new BodyError(key, `must be at most ${MAX_TOKEN} characters, none of them NUL`)
  return value
}

function readJson(body: Uint8Array): JsonValue {
  try {
    return parseJson(body)
  } catch (error) {
    if (!(error instanceof JsonError)) throw error
    const [, index, path] = /^items\.(\d+)(?:\.(.*))?$/s.exec(error.path) ?? []
    if (index === undefined) throw new BodyError('', error.message, 'M_BAD_JSON')
    throw new ItemError(Number(index), path ?? '', whyOf(error), 'M_BAD_JSON')
  }
}

function readLine(text: string, index: number): JsonValue {
  try {
    return parseJson(text)
  } catch (error) {
    if (!(error instanceof JsonError)) throw error
    throw new ItemError(index, error.path, whyOf(error), 'M_BAD_JSON')
  }
}
