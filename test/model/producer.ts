/** A process with the role `ingest`: the real `append`, one request at a time. */
import { makeAppend, type Append, type IngestRequest } from '../../src/ingest/append.ts'
import type { Item } from '../../src/ingest/items.ts'
import type { EventId, RoomId } from '../../src/matrix/ids.ts'
import type { JsonObject } from '../../src/matrix/json-value.ts'
import { parseJson } from '../../src/matrix/strict-json.ts'
import { takenEdu } from '../ingest/edu/edu-item.ts'
import { OTHER, OURS, SETTINGS, US, type ModelItem, type Sender, type Server } from './driver.ts'
import type { Process } from './process.ts'
import type { Request } from './requests.ts'

export interface Producer {
  process: Process
  append: (request: Request) => ReturnType<Append>
}

export const roomIdOf = (room: number) => `!room${room}:${OURS}` as RoomId
export const userIdOf = (sender: Sender) => `@${sender}:${OURS}`
const nameOf = (server: Server) => (server === 'us' ? US : OTHER)

type ModelEdu = Extract<ModelItem, { type: 'edu' }>

/** What a request could be mistaken for. */
export type Given = Pick<IngestRequest, 'items' | 'onlyKnownRooms'>

export interface ProducerNeeds {
  readonly onTaken: () => void
  /** Puts another request in the place of what was given. */
  readonly misread?: ((given: Given) => Given) | undefined
}

export function makeProducer(process: Process, { onTaken, misread = (one) => one }: ProducerNeeds): Producer {
  const append = makeAppend({
    ...{ pool: process.pool, serverName: OURS, maxStickyMs: SETTINGS.maxStickyMs, onTaken },
    random: () => 0.5,
  })
  const nothing = { sourceToken: undefined, ifSourceToken: undefined }
  return {
    process,
    append: ({ items, onlyKnownRooms }) =>
      append({ source: 'model', ...nothing, ...misread({ items: items.map(itemOf), onlyKnownRooms }) }),
  }
}

function itemOf(item: ModelItem): Item {
  switch (item.type) {
    case 'event': {
      const { room, eventId, pdu, stickyMs, to, alsoTo, notTo, odd } = item
      return {
        type: 'event',
        roomId: roomIdOf(room),
        // A version that nobody knows: ids are taken as given.
        roomVersion: 'model',
        eventId: eventId as EventId,
        pdu,
        odd,
        sender: userIdOf(item.by),
        originServerTs: Number.MAX_SAFE_INTEGER,
        stickyDurationMs: stickyMs,
        audience:
          to === null ? { alsoTo: alsoTo.map(nameOf), notTo: notTo.map(nameOf) } : { to: to.map(nameOf) },
      }
    }
    case 'servers': {
      const change = { add: item.add.map(nameOf), remove: item.remove.map(nameOf) }
      return { type: 'servers', roomId: roomIdOf(item.room), change }
    }
    case 'set': {
      const change = { set: item.set.map(nameOf), keep: item.keep.map(nameOf) }
      return { type: 'servers', roomId: roomIdOf(item.room), change }
    }
    case 'redact': {
      const parsed = parseJson(item.pdu) as JsonObject
      return {
        type: 'redact',
        eventId: item.eventId as EventId,
        pdu: item.pdu,
        parsed,
        sender: userIdOf('one'),
      }
    }
    case 'erase':
      return 'by' in item
        ? { type: 'erase', sender: userIdOf(item.by), eventIds: null }
        : { type: 'erase', sender: null, eventIds: item.eventIds as EventId[] }
    case 'edu':
      return eduOf(item)
    case 'purge':
      return { type: 'purge', roomId: roomIdOf(item.room) }
  }
}

/** As it comes through the door. */
function eduOf({ eduType, content, rooms, to, key, ttlMs, durable, alone }: ModelEdu): Item {
  const taken = takenEdu({
    ...{ edu_type: eduType, content, durable },
    ...(rooms === null ? { destinations: (to ?? []).map(nameOf) } : { rooms: rooms.map(roomIdOf) }),
    ...(key !== null && { key }),
    ...(ttlMs !== null && { ttl_ms: ttlMs }),
  })
  return alone ? { ...taken, parts: taken.parts.map((part) => ({ ...part, alone })) } : taken
}
