/**
 * Is the event the one that its id names?
 *
 * Since room version 3 the id is the event's reference hash. With a wrong id every receiver would store the event
 * under another name than the one we vouch for. Spec: server-server API, "Calculating the reference hash for an
 * event", and "Event IDs" of each room version.
 */
import { createHash } from 'node:crypto'
import { canonicalText } from './canonical-json.ts'
import type { EventId } from './ids.ts'
import { isJsonObject } from './json-value.ts'
import type { JsonObject } from './json-value.ts'
import { redact } from './redaction.ts'
import { roomVersion } from './room-versions.ts'
import type { RoomVersion } from './room-versions.ts'
import { parseJson } from './strict-json.ts'

export type EventIdCheck =
  | { kind: 'ok' }
  /** `expected` is null where the event should carry its id and carries none, or is not an object. */
  | { kind: 'mismatch'; expected: EventId | null }
  /** Nothing can be said: the id is taken as given. */
  | { kind: 'unknown version' }

/** SHA-256 over the redacted event without `signatures` and `unsigned`. Odd numbers count as they were written. */
export function referenceHash(pdu: JsonObject, version: RoomVersion): Buffer {
  const covered = redact(pdu, version)
  // `unsigned` never survives a redaction.
  delete covered['signatures']
  return createHash('sha256')
    .update(canonicalText(covered, { oddNumbers: 'keep' }))
    .digest()
}

/** The id that the event has by the rules of its room version; null where it should carry one and doesn't. */
export function eventIdOf(pdu: JsonObject, version: RoomVersion): EventId | null {
  if (version.eventId === 'inside') {
    const inside = pdu['event_id']
    return typeof inside === 'string' ? (inside as EventId) : null
  }
  const hash = referenceHash(pdu, version)
  if (version.eventId === 'base64url') return `$${hash.toString('base64url')}` as EventId
  return `$${hash.toString('base64').replace(/=+$/, '')}` as EventId
}

/**
 * Compares the id that a source gave with the one that the event (or its JSON text) has.
 * @throws JsonError where the text is not JSON
 */
export function checkEventId(given: {
  pdu: JsonObject | string
  roomVersion: string
  eventId: string
}): EventIdCheck {
  const version = roomVersion(given.roomVersion)
  if (version === null) return { kind: 'unknown version' }
  const pdu = typeof given.pdu === 'string' ? parseJson(given.pdu) : given.pdu
  const expected = isJsonObject(pdu) ? eventIdOf(pdu, version) : null
  return expected === given.eventId ? { kind: 'ok' } : { kind: 'mismatch', expected }
}

/**
 * Whether the event belongs to `roomId`: its own `room_id` says so, or it is the create event of a room of
 * version 12 or later, which has none because its id is the room's (rooms/v12, "Event format").
 */
export function belongsToRoom(given: {
  pdu: JsonObject
  roomVersion: string
  eventId: string
  roomId: string
}): boolean {
  const { pdu, eventId, roomId } = given
  const inside = pdu['room_id']
  if (inside !== undefined) return inside === roomId
  const version = roomVersion(given.roomVersion)
  return (
    version?.roomId === 'create event' &&
    pdu['type'] === 'm.room.create' &&
    pdu['state_key'] === '' &&
    eventId.slice(1) === roomId.slice(1)
  )
}
