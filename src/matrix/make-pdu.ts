/**
 * Makes valid events: hashed, signed, and under the right id. For the simulator and for tests; the daemon itself only
 * passes on events that a homeserver has finished.
 *
 * Spec: server-server API, "Adding hashes and signatures to outgoing events", and appendices, "Signing JSON".
 */
import { createHash } from 'node:crypto'
import { canonicalFromValue, canonicalText } from './canonical-json.ts'
import { eventIdOf } from './event-id.ts'
import { domainOf } from './ids.ts'
import type { EventId } from './ids.ts'
import { isJsonObject } from './json-value.ts'
import type { JsonObject, JsonValue } from './json-value.ts'
import { redact } from './redaction.ts'
import { roomVersion } from './room-versions.ts'
import type { RoomVersion } from './room-versions.ts'
import type { SigningKey } from './signing.ts'
import { parseJson } from './strict-json.ts'

export interface PduParts {
  roomId: string
  type: string
  /** Its domain signs. */
  sender: string
  originServerTs: number
  content?: Record<string, unknown>
  stateKey?: string
  depth?: number
  /** Event ids; versions 1 and 2 get the pairs that their format wants. */
  prevEvents?: readonly string[]
  authEvents?: readonly string[]
  /** Further top-level fields, such as `{ msc4354_sticky: { duration_ms: 60000 } }`. */
  more?: Record<string, unknown>
  /** Versions 1 and 2 only, where the id is chosen; default: made from the content hash. */
  eventId?: string
}

/** SHA-256 over the whole event less `unsigned`, `signatures` and `hashes`: unpadded base64. */
export function hashEvent(pdu: JsonObject): string {
  const covered = without(pdu, ['unsigned', 'signatures', 'hashes'])
  const text = canonicalText(covered, { oddNumbers: 'keep' })
  return createHash('sha256').update(text).digest('base64').replace(/=+$/, '')
}

/** A copy of the object with `key`'s signature added ("Signing JSON"). */
export function signJson(object: JsonObject, key: SigningKey, signer: string): JsonObject {
  const text = canonicalText(without(object, ['signatures', 'unsigned']), { oddNumbers: 'keep' })
  const all = isJsonObject(object['signatures']) ? object['signatures'] : {}
  const own = isJsonObject(all[signer]) ? all[signer] : {}
  return { ...object, signatures: { ...all, [signer]: { ...own, [key.keyId]: key.sign(text) } } }
}

/** A copy of the event with its content hash and with a signature over its redacted form. */
export function signEvent(
  pdu: JsonObject,
  key: SigningKey,
  signer: string,
  version: RoomVersion,
): JsonObject {
  const hashed = { ...pdu, hashes: { sha256: hashEvent(pdu) } }
  const signed = signJson(redact(hashed, version), key, signer)
  return { ...hashed, signatures: signed['signatures'] ?? {} }
}

/**
 * Makes an event of a known room version.
 * @throws RangeError for a version that is not known
 */
export function makePdu(
  parts: PduParts,
  key: SigningKey,
  versionName: string,
): { eventId: EventId; pdu: JsonObject; text: string } {
  const version = roomVersion(versionName)
  if (version === null) throw new RangeError(`room version ${versionName} is not known`)
  const signer = domainOf(parts.sender)
  if (signer === null) throw new RangeError(`sender ${parts.sender} has no domain`)
  const draft = draftOf(parts, version)
  if (version.eventId === 'inside') draft['event_id'] = parts.eventId ?? `$${shortHash(draft)}:${signer}`
  const pdu = signEvent(draft, key, signer, version)
  const eventId = eventIdOf(pdu, version)
  if (eventId === null) throw new RangeError('the event has no id')
  return { eventId, pdu, text: canonicalText(pdu, { oddNumbers: version.oddNumbers }) }
}

function draftOf(parts: PduParts, version: RoomVersion): JsonObject {
  const createsItsRoom =
    version.roomId === 'create event' && parts.type === 'm.room.create' && parts.stateKey === ''
  const references = (ids: readonly string[]): JsonValue =>
    version.eventId === 'inside' ? ids.map((id) => [id, {}]) : [...ids]
  const value = {
    auth_events: references(parts.authEvents ?? []),
    content: parts.content ?? {},
    depth: parts.depth ?? 1,
    origin_server_ts: parts.originServerTs,
    prev_events: references(parts.prevEvents ?? []),
    room_id: createsItsRoom ? undefined : parts.roomId,
    sender: parts.sender,
    state_key: parts.stateKey,
    type: parts.type,
    ...parts.more,
  }
  // Through text and back, so that what came in is known to be JSON.
  return parseJson(canonicalFromValue(value)) as JsonObject
}

function shortHash(draft: JsonObject): string {
  return hashEvent(draft)
    .replace(/[^A-Za-z0-9]/g, '')
    .slice(0, 18)
}

function without(object: JsonObject, keys: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([key]) => !keys.includes(key)))
}
