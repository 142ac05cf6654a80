/**
 * The body of a request to take items, JSON or NDJSON, as an `IngestRequest`.
 *
 * A large request is the most expensive work of ingest. It is done in slices, so that sends and lease renewals of the
 * same process go on meanwhile: no slice is longer than one item, and no item is larger than `BODY_LIMITS` allows.
 * Each item is read, checked and made text before the next one is read.
 */
import { isUtf8 } from 'node:buffer'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { makeJsonReader } from '../matrix/json-reader.ts'
import { JsonError, isJsonObject } from '../matrix/json-value.ts'
import type { JsonObject, JsonValue } from '../matrix/json-value.ts'
import { BODY_LIMITS } from '../matrix/read-limits.ts'
import type { JsonReader } from '../matrix/read-limits.ts'
import type { IngestRequest } from './append.ts'
import { linesOf } from './body-lines.ts'
import { BodyError, ItemError, whyOf } from './item-error.ts'
import type { Item } from './items.ts'
import { parseItem } from './parse-item.ts'
import type { ParseOptions } from './parse-item.ts'

export const MAX_ITEMS = 1000
/** Of a JSON body; of NDJSON all but `items` are parameters. */
export const BODY_FIELDS: readonly string[] = ['items', 'source', 'source_token', 'if_source_token']
const MAX_TOKEN = 1024
/** What others wait for at most, as reading counts it: about 50 events, or 3 ms. */
const SLICE = 64 * 1024

export interface ParsedBody {
  readonly request: IngestRequest
  /** The index to show for the item at this place of `request.items`. */
  readonly shownIndex: (place: number) => number
}

/** Reads `{"items": […], "source", "source_token", "if_source_token"}`. Throws `BodyError` or `ItemError`. */
export async function parseJsonBody(body: Uint8Array, options: ParseOptions): Promise<ParsedBody> {
  const items: Item[] = []
  const whole = await readJson(body, (node) => {
    refuseTooMany(items.length + 1)
    const item = parseItem(node, items.length, options)
    items.push(item)
    return costOf(item)
  })
  if (!isJsonObject(whole)) throw new BodyError('', 'the body must be an object', 'M_BAD_JSON')
  for (const key of Object.keys(whole))
    if (!BODY_FIELDS.includes(key)) throw new BodyError(key.slice(0, 100), 'unknown field')
  const list = whole['items']
  if (!Array.isArray(list)) throw new BodyError('items', list === undefined ? 'is missing' : 'must be a list')
  return { request: { ...producerOf(whole), items }, shownIndex: (place) => place }
}

/** Reads an item a line; `query` holds what stands beside `items` in JSON. Throws `BodyError` or `ItemError`. */
export async function parseLines(
  body: Uint8Array,
  query: Readonly<Record<string, unknown>>,
  options: ParseOptions,
): Promise<ParsedBody> {
  refuseOtherText(body)
  const from = producerOf(queryAsBody(query))
  const items: Item[] = []
  const indexes: number[] = []
  const pace = makePace()
  let reader: JsonReader | null = null
  for (const line of linesOf(body)) {
    let rest: Promise<void> | undefined
    if (line.bytes === null) rest = pace.spend(line.skipped)
    else {
      refuseTooMany(items.length + 1)
      const { bytes, index } = line
      // One for all lines: the engine makes the code of one reader fast, not that of a thousand.
      if (reader === null) reader = makeJsonReader(bytes, LINE_LIMITS)
      else reader.restart(bytes)
      const again = readOn(reader, pace, index)
      if (again !== undefined) await again
      const item = parseItem(reader.taken(), index, options)
      items.push(item)
      indexes.push(index)
      rest = pace.spend(costOf(item))
    }
    if (rest !== undefined) await rest
  }
  return { request: { ...from, items }, shownIndex: (place) => indexes[place] ?? place }
}

const LINE_LIMITS = { ...BODY_LIMITS, values: BODY_LIMITS.elementValues }

/** Reads `{"servers": [server]}` as that many `server_up` items. Throws `BodyError`. */
export async function parseServersUp(body: Uint8Array): Promise<IngestRequest> {
  const items: Item[] = []
  const whole = await readJson(
    body,
    (server) => {
      refuseTooMany(items.length + 1)
      if (typeof server !== 'string') throw new BodyError(`servers.${items.length}`, 'must be text')
      items.push({ type: 'server_up', server })
      return 0
    },
    'servers',
  )
  if (!isJsonObject(whole)) throw new BodyError('', 'the body must be an object', 'M_BAD_JSON')
  for (const key of Object.keys(whole))
    if (key !== 'servers') throw new BodyError(key.slice(0, 100), 'unknown field')
  const servers = whole['servers']
  if (!Array.isArray(servers))
    throw new BodyError('servers', servers === undefined ? 'is missing' : 'must be a list')
  return { source: 'default', sourceToken: undefined, ifSourceToken: undefined, items }
}

/** Reads the document, with `take` for each element of its list `handOut`, which says what that has cost beyond reading it. */
async function readJson(
  body: Uint8Array,
  take: (node: JsonValue) => number,
  handOut: 'items' | 'servers' = 'items',
): Promise<JsonValue> {
  refuseOtherText(body)
  const pace = makePace()
  const reader = makeJsonReader(body, BODY_LIMITS, handOut)
  for (;;) {
    const before = reader.spent()
    const found = asRefusal(() => reader.read(pace.left()), undefined)
    const taking = found === 'element' ? take(reader.taken()) : 0
    // Not awaited where there is nothing to wait for: there are up to a thousand.
    const rest = pace.spend(reader.spent() - before + taking)
    if (rest !== undefined) await rest
    if (found === 'done') return reader.taken()
  }
}

/** Reads a line to its end; a promise where others have their turns meanwhile. */
function readOn(reader: JsonReader, pace: ParsePace, index: number): Promise<void> | undefined {
  for (;;) {
    const before = reader.spent()
    const found = asRefusal(() => reader.read(pace.left()), index)
    const rest = pace.spend(reader.spent() - before)
    if (found !== 'paused') return rest
    if (rest !== undefined) return rest.then(() => readOn(reader, pace, index))
  }
}

interface ParsePace {
  /** Of this turn. */
  left(): number
  /** Ends the turn where it is used up. */
  spend(cost: number): Promise<void> | undefined
}

function makePace(): ParsePace {
  let left = SLICE
  return {
    left: () => left,
    spend(cost) {
      left -= cost
      if (left > 0) return undefined
      left = SLICE
      return nextTurn()
    },
  }
}

/** Checks, text and hash take about as long as reading it. */
function costOf(item: Item): number {
  return 'pdu' in item ? item.pdu.length : 0
}

function refuseOtherText(body: Uint8Array): void {
  if (!isUtf8(body)) throw new BodyError('', 'the body is not valid UTF-8', 'M_BAD_JSON')
}

function refuseTooMany(count: number): void {
  if (count > MAX_ITEMS)
    throw new BodyError('items', `more than ${MAX_ITEMS} in one request; send them in several`, 'M_TOO_LARGE')
}

/** A parameter without a value (`if_source_token=`) is null: nothing stored yet. */
function queryAsBody(query: Readonly<Record<string, unknown>>): JsonObject {
  const body: JsonObject = {}
  for (const [key, value] of Object.entries(query)) {
    if (key !== 'source' && key !== 'source_token' && key !== 'if_source_token')
      throw new BodyError(key.slice(0, 100), 'unknown parameter')
    if (typeof value !== 'string') throw new BodyError(key, 'may be given only once')
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
  throw new BodyError('source', 'must be 1 to 64 characters from a-z 0-9 _ . -')
}

function tokenOf(body: JsonObject, key: string): string | null | undefined {
  const value = body[key]
  if (value === undefined || value === null) return value
  if (typeof value !== 'string') throw new BodyError(key, 'must be text or null')
  if (value === '') throw new BodyError(key, 'must not be empty; use null for none')
  if (value.length > MAX_TOKEN || value.includes('\0'))
    throw new BodyError(key, `must have at most ${MAX_TOKEN} characters and no NUL`)
  return value
}

/** What is wrong with the JSON as an error of the item that it is in, or of the whole body. */
function asRefusal<T>(read: () => T, line: number | undefined): T {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof JsonError)) throw error
    const errcode = error.fault === 'too large' ? 'M_TOO_LARGE' : 'M_BAD_JSON'
    if (line !== undefined) throw new ItemError(line, error.path, whyOf(error), errcode)
    const [, index, path] = /^items\.(\d+)(?:\.(.*))?$/s.exec(error.path) ?? []
    if (index === undefined) throw new BodyError('', error.message, errcode)
    throw new ItemError(Number(index), path ?? '', whyOf(error), errcode)
  }
}
