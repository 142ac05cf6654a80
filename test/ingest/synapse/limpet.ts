/** limpet's side of the Synapse source, in memory: what it was told, and the token with its compare-and-set. */
import { pino } from 'pino'
import { systemClock, type Clock } from '../../../src/pace/clock.ts'
import type { Append } from '../../../src/ingest/append.ts'
import type { Item } from '../../../src/ingest/items.ts'
import { makeKnownRooms } from '../../../src/ingest/known-rooms.ts'
import { parseItem } from '../../../src/ingest/parse-item.ts'
import {
  makeSynapseSource,
  SOURCE,
  type Subscribe,
  type SynapseSourceNeeds,
} from '../../../src/ingest/synapse/source.ts'
import { timelineInMemory } from '../../../src/ingest/synapse/timeline.ts'
import type { JsonObject } from '../../../src/matrix/json-value.ts'
import type { Pool } from '../../../src/store/db.ts'
import { until } from '../../support/poll.ts'

export interface Limpet {
  /** What was taken, in order, one line each: `event $3`, `event $4 not b`, `set b c`, `+b -c`. */
  readonly lines: string[]
  readonly raw: Record<string, unknown>[]
  readonly logged: string[]
  /** The ids of events that the log says were left out. */
  readonly leftOut: string[]
  token(): string | null
  /** The names of the sources that have one. */
  sources(): string[]
  /** Stores one, as another process does. */
  store(source: string, token: string): void
  /** An operator says: go on in a restored database. */
  goOn(): Promise<void>
  /** Follows `pool` until `stop`, which gives the error that `run` ended with, if any. */
  follow(options?: {
    subscribe?: Subscribe
    pollMs?: number
    graceMs?: number
    clock?: Clock
    /** With longer statements, for rooms that are slow to read. */
    patient?: Pool
    lease?: SynapseSourceNeeds['lease']
    connections?: SynapseSourceNeeds['connections']
    progress?: SynapseSourceNeeds['progress']
  }): {
    stop(): Promise<unknown>
    ended: Promise<unknown>
  }
  /** Waits until the token is `events=N`. */
  reaches(events: number): Promise<void>
  /** Somebody else tells this room. */
  tell(roomId: string): void
  /** Somebody else has this room purged. */
  purge(roomId: string): void
  /** The next `append` fails like this. */
  failNext: 'unavailable' | 'lost answer' | null
}

/** The real door of items, for events that are real ones. */
export const parseReal = (item: JsonObject): Item =>
  parseItem(item, 0, { serverName: 'a.example', stickyFieldNames: ['msc4354_sticky'] })

export function limpetFor(
  pool: Pool,
  {
    parse = parsed,
    nameOf = (id) => id,
  }: { parse?: (item: JsonObject) => Item; nameOf?: (id: string) => string } = {},
): Limpet {
  const tokens = new Map<string, string | null>()
  const raw: Record<string, unknown>[] = []
  const lines: string[] = []
  const told = new Set<string>()
  const timeline = timelineInMemory()
  const logged: string[] = []
  const leftOut: string[] = []
  const write = (line: string) => {
    const { msg, event_id } = JSON.parse(line) as { msg: string; event_id?: string }
    logged.push(msg)
    if (msg.includes('left out')) leftOut.push(nameOf(event_id ?? 'no event'))
  }
  const log = pino({ level: 'debug' }, { write })
  const append: Append = async ({ source, sourceToken, ifSourceToken, items, onlyKnownRooms = false }) => {
    await Promise.resolve()
    const failing = limpet.failNext
    limpet.failNext = null
    if (failing === 'unavailable') return { kind: 'unavailable', message: 'away' }
    const token = tokens.get(source) ?? null
    if (ifSourceToken !== token) return { kind: 'token_mismatch', sourceToken: token }
    const known = new Map(
      [...told].map((roomId) => [roomId, { id: 0, isNew: false, version: null, known: true }]),
    )
    const unknown = makeKnownRooms(known).follow(items, onlyKnownRooms)
    if (unknown.length > 0) return { kind: 'unknown_rooms', rooms: unknown }
    tokens.set(source, sourceToken ?? token)
    for (const item of items) {
      if (item.type === 'servers') told.add(item.roomId)
      if (item.type === 'purge') told.delete(item.roomId)
    }
    lines.push(...items.map((item) => lineOf(item, nameOf)))
    if (failing === 'lost answer') return { kind: 'unavailable', message: 'away' }
    return {
      kind: 'taken',
      position: 0,
      accepted: items.length,
      duplicates: 0,
      ignored: [],
      unknownRooms: [],
    }
  }
  const startingWith = (prefix: string) =>
    [...tokens].flatMap(([source, token]) => (source.startsWith(prefix) ? [{ source, token }] : []))
  const limpet: Limpet = {
    lines,
    raw,
    logged,
    leftOut,
    failNext: null,
    tell: (roomId) => void told.add(roomId),
    purge: (roomId) => told.delete(roomId),
    token: () => tokens.get(SOURCE) ?? null,
    sources: () => [...tokens.keys()],
    store: (source, token) => void tokens.set(source, token),
    goOn: async () => timeline.save({ goOn: true }, (await timeline.load()).continued),
    follow({ subscribe, pollMs = 20, graceMs = 0, clock = systemClock, patient, ...more } = {}) {
      const stopping = new AbortController()
      const source = makeSynapseSource({
        pool,
        serverName: 'a.example',
        append,
        tokenOf: (source) => Promise.resolve(tokens.get(source) ?? null),
        behind: patient && {
          pool: patient,
          tokens: (prefix) => Promise.resolve(startingWith(prefix)),
          drop: async (prefix, token) => {
            for (const one of startingWith(prefix)) if (one.token === token) tokens.delete(one.source)
            await Promise.resolve()
          },
        },
        ...more,
        parseItem: (item) => {
          raw.push(item)
          return parse(item)
        },
        subscribe,
        timeline,
        purges: {
          told: {
            page: (after) =>
              Promise.resolve([...told].map((roomId, i) => ({ id: i + 1, roomId })).slice(after)),
            among: (roomIds) => Promise.resolve(roomIds.filter((roomId) => told.has(roomId))),
          },
          everyMs: 0,
          graceMs,
        },
        clock,
        log,
        pollMs,
      })
      const ended = source.run(stopping.signal).then(
        () => null,
        (error: unknown) => error,
      )
      return {
        ended,
        stop: () => {
          stopping.abort()
          return ended
        },
      }
    },
    reaches: async (events) => {
      await until(() => limpet.token() === `events=${events}`, {
        what: `the token events=${events}, it is ${limpet.token() ?? 'none'}`,
      })
    },
  }
  return limpet
}

function parsed(item: Record<string, unknown>): Item {
  if (item['type'] === 'redact') return { type: 'redact', eventId: item['event_id'] } as unknown as Item
  const notTo = (item['not_to'] as string[] | undefined) ?? []
  const to = item['to'] as string[] | undefined
  const pdu = item['pdu'] as { sticky?: unknown }
  return {
    type: 'event',
    roomId: item['room_id'],
    eventId: item['event_id'],
    stickyDurationMs: pdu.sticky === true && item['sticky'] !== false ? 1000 : null,
    audience: to === undefined ? { alsoTo: [], notTo } : { to },
  } as unknown as Item
}

function lineOf(item: Item, nameOf: (id: string) => string): string {
  if (item.type === 'event') {
    const { audience } = item
    if ('to' in audience) return `event ${nameOf(item.eventId)} to ${audience.to.join(' ') || 'nobody'}`
    const also = audience.alsoTo.map((name) => ` also ${name}`)
    return `event ${nameOf(item.eventId)}${[...also, ...audience.notTo.map((name) => ` not ${name}`)].join('')}`
  }
  if (item.type === 'redact') return `redact ${nameOf(item.eventId)}`
  if (item.type === 'purge') return `purge ${item.roomId}`
  if (item.type !== 'servers') return item.type
  if ('set' in item.change) {
    const keep = (item.change.keep ?? []).map((server) => ` keep ${server}`)
    return `set ${item.change.set.join(' ')}`.trim() + keep.join('')
  }
  return [...item.change.add.map((s) => `+${s}`), ...item.change.remove.map((s) => `-${s}`)].join(' ')
}
