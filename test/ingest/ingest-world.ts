/**
 * Ingest on a database of its own: a homeserver's items go in as JSON, as a producer writes them, and
 * what became of them is read from the tables.
 */
import { randomBytes } from 'node:crypto'
import {
  makeAppend,
  type AppendNeeds,
  type AppendResult,
  type IngestRequest,
} from '../../src/ingest/append.ts'
import type { Item } from '../../src/ingest/items.ts'
import { parseItem } from '../../src/ingest/parse-item.ts'
import { makePdu } from '../../src/matrix/make-pdu.ts'
import { redact as redactPdu } from '../../src/matrix/redaction.ts'
import { roomVersion } from '../../src/matrix/room-versions.ts'
import { generateKey } from '../../src/matrix/signing.ts'
import { parseJson } from '../../src/matrix/strict-json.ts'
import { openPool } from '../../src/store/db.ts'
import { freshDatabase } from '../support/postgres.ts'

export const OURS = 'home.example'
export const ROOM = `!room:${OURS}`
export const HOUR = 3_600_000

export type Taken = Extract<AppendResult, { kind: 'taken' }>
export type IngestWorld = Awaited<ReturnType<typeof makeIngestWorld>>

const { key } = generateKey(randomBytes)
let count = 0

export interface EventOptions {
  room?: string
  version?: string
  sender?: string
  type?: string
  content?: Record<string, unknown>
  stickyMs?: number
  originServerTs?: number
  /** Beside the event: `to`, `also_to`, `not_to`, `sticky`. */
  also?: Record<string, unknown>
}

/** An event item as a producer writes it, valid in every way. */
export function event(options: EventOptions = {}) {
  const { room = ROOM, version = '11', sender = `@alice:${OURS}`, stickyMs, also = {} } = options
  count += 1
  const made = makePdu(
    {
      roomId: room,
      type: options.type ?? 'm.room.message',
      sender,
      originServerTs: options.originServerTs ?? Date.now(),
      content: options.content ?? { body: `secret words ${count}` },
      ...(stickyMs === undefined ? {} : { more: { msc4354_sticky: { duration_ms: stickyMs } } }),
    },
    key,
    version,
  )
  const { eventId: event_id, pdu } = made
  return { type: 'event', room_id: room, room_version: version, event_id: event_id as string, pdu, ...also }
}

export type GivenEvent = ReturnType<typeof event>

export const sticky = (options: EventOptions = {}) => event({ stickyMs: HOUR, ...options })
export const servers = (change: object, room = ROOM) => ({ type: 'servers', room_id: room, ...change })
export const purge = (room = ROOM) => ({ type: 'purge', room_id: room })
export const up = (server: string) => ({ type: 'server_up', server })

/** The item that puts the event's redacted form in place of it. */
export function redact({ event_id, pdu, room_version }: GivenEvent) {
  const rules = roomVersion(room_version)
  if (rules === null) throw new Error('of a version that has rules')
  return { type: 'redact', event_id, pdu: redactPdu(pdu, rules) }
}

/** Items given as JSON text or as what becomes it. */
export function parse(items: readonly (object | string)[]): Item[] {
  const options = { serverName: OURS, stickyFieldNames: ['msc4354_sticky', 'sticky'] }
  return items.map((item, index) => {
    const text = typeof item === 'string' ? item : JSON.stringify(item)
    return parseItem(parseJson(text), index, options)
  })
}

export type RequestOptions = Partial<Omit<IngestRequest, 'items'>>

export function request(items: readonly (object | string)[], options: RequestOptions = {}): IngestRequest {
  return {
    source: 'default',
    sourceToken: undefined,
    ifSourceToken: undefined,
    ...options,
    items: parse(items),
  }
}

export async function makeIngestWorld(needs: Partial<AppendNeeds> & { url?: string } = {}) {
  const url = needs.url ?? (await freshDatabase()).url
  const pool = openPool({ url, max: 6 })
  const append = makeAppend({
    pool,
    serverName: OURS,
    maxStickyMs: HOUR,
    random: () => 0.5,
    onTaken: () => undefined,
    ...needs,
  })
  async function rows<Row extends object>(sql: string, values: unknown[] = []): Promise<Row[]> {
    return (await pool.query<Row>(sql, values)).rows
  }
  const world = {
    url,
    pool,
    append,
    rows,
    /** Appends items in one request; throws unless they are taken. */
    async take(items: readonly (object | string)[], options: RequestOptions = {}): Promise<Taken> {
      const result = await append(request(items, options))
      if (result.kind !== 'taken') throw new Error(`not taken: ${JSON.stringify(result)}`)
      return result
    },
    /** The first column of the first row. */
    async value<T>(sql: string, values: unknown[] = []): Promise<T | undefined> {
      const [row] = await rows<Record<string, T>>(sql, values)
      return row === undefined ? undefined : Object.values(row)[0]
    },
    head: async () => Number(await world.value<number>('select head from stream')),
    now: async () => Number(await world.value<number>('select now_ms()')),
    /** `server (since, until]` per membership of a room, in order of the names. */
    async memberships(room = ROOM): Promise<string[]> {
      const found = await rows<{ text: string }>(
        `select d.name || ' (' || m.since || ', ' || coalesce(m.until::text, '…') || ']' as text
           from memberships m join destinations d on d.id = m.destination join rooms r on r.id = m.room
          where r.room_id = $1 order by d.name, m.since`,
        [room],
      )
      return found.map(({ text }) => text)
    },
    /** `server up to N` per join replay owed in a room. */
    async owed(room = ROOM): Promise<string[]> {
      const found = await rows<{ text: string }>(
        `select d.name || ' up to ' || o.upto as text
           from sticky_owed o join destinations d on d.id = o.destination join rooms r on r.id = o.room
          where r.room_id = $1 order by d.name`,
        [room],
      )
      return found.map(({ text }) => text)
    },
    /** `server from N` per destination. */
    async destinations(): Promise<string[]> {
      const found = await rows<{ text: string }>(
        `select name || ' from ' || position as text from destinations order by name`,
      )
      return found.map(({ text }) => text)
    },
    close: () => pool.end(),
  }
  return world
}
