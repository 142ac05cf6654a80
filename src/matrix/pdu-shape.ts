/**
 * Does an object have the form of an event, as far as a wrong form would spoil the transaction that carries it?
 *
 * Spec: "Event format" of each room version. A homeserver's own events have it. Many receivers refuse a whole
 * transaction, or fail on it, because of one PDU whose `depth` is not an integer or whose `signatures` are not an
 * object; everything else in it would be refused too, again and again. This file checks what receivers parse before
 * they look at single events. Anything else that a room version requires is between the two homeservers.
 */
import { isJsonObject, isOddNumber, textOfOddNumber } from './json-value.ts'
import type { JsonObject, JsonValue } from './json-value.ts'
import type { RoomVersion } from './room-versions.ts'

export interface Misshapen {
  /** Dotted, within the event. */
  readonly path: string
  /** What it must be. */
  readonly why: string
}

/** The largest depth that receivers take: that of a signed 64-bit number. */
const MAX_DEPTH = 2n ** 63n - 1n

/** What is wrong with the form of `pdu`; null: nothing. `version` null: of the room version nothing is known. */
export function findMisshapen(pdu: JsonObject, version: RoomVersion | null): Misshapen | null {
  return (
    depthFault(pdu['depth']) ??
    objectFault(pdu['content'], 'content') ??
    hashesFault(pdu['hashes']) ??
    signaturesFault(pdu['signatures']) ??
    optionalFault(pdu) ??
    (version === null ? null : versionFault(pdu, version))
  )
}

function depthFault(depth: JsonValue | undefined): Misshapen | null {
  if (Number.isSafeInteger(depth) && (depth as number) >= 0) return null
  // Room versions 1 to 5 have rooms whose depth somebody drove to its end; those from 6 on refuse such a number anyway.
  if (
    isOddNumber(depth) &&
    /^\d{16,19}$/.test(textOfOddNumber(depth)) &&
    BigInt(textOfOddNumber(depth)) <= MAX_DEPTH
  )
    return null
  return fault('depth', depth, 'must be an integer from 0 to 2^63 - 1')
}

function hashesFault(hashes: JsonValue | undefined): Misshapen | null {
  if (!isJsonObject(hashes)) return objectFault(hashes, 'hashes')
  if (typeof hashes['sha256'] !== 'string') return fault('hashes.sha256', hashes['sha256'], 'must be text')
  return textsFault(hashes, 'hashes')
}

/** `{server: {key id: signature}}`. */
function signaturesFault(signatures: JsonValue | undefined): Misshapen | null {
  if (!isJsonObject(signatures)) return objectFault(signatures, 'signatures')
  for (const [server, made] of Object.entries(signatures)) {
    const path = `signatures.${server.slice(0, 100)}`
    const wrong = isJsonObject(made) ? textsFault(made, path) : objectFault(made, path)
    if (wrong !== null) return wrong
  }
  return null
}

/** What an event may do without. An `age` is reckoned with as a number before anything is looked at. */
function optionalFault(pdu: JsonObject): Misshapen | null {
  const { unsigned, age } = pdu
  if (pdu['state_key'] !== undefined && typeof pdu['state_key'] !== 'string')
    return fault('state_key', pdu['state_key'], 'must be text')
  if (age !== undefined && !isNumber(age)) return fault('age', age, 'must be a number')
  if (unsigned === undefined) return null
  if (!isJsonObject(unsigned)) return objectFault(unsigned, 'unsigned')
  const { age: told } = unsigned
  return told === undefined || isNumber(told) ? null : fault('unsigned.age', told, 'must be a number')
}

function versionFault(pdu: JsonObject, version: RoomVersion): Misshapen | null {
  const { eventId } = version
  if (eventId !== 'inside' && pdu['event_id'] !== undefined)
    return { path: 'event_id', why: `is not allowed in room version ${version.version}` }
  for (const key of ['auth_events', 'prev_events'] as const) {
    const list = pdu[key]
    // An event without them is refused by itself.
    if (list === undefined) continue
    if (!Array.isArray(list)) return fault(key, list, 'must be a list')
    const wrong = list.findIndex(
      (one) => !(eventId === 'inside' ? isReference(one) : typeof one === 'string'),
    )
    if (wrong >= 0)
      return { path: `${key}.${wrong}`, why: 'must be an event id in the format of the room version' }
  }
  return null
}

/** In versions 1 and 2: `[event id, hashes]`; the id alone is let through, since receivers refuse such an event by itself. */
function isReference(value: JsonValue): boolean {
  if (typeof value === 'string') return true
  return Array.isArray(value) && value.length === 2 && typeof value[0] === 'string' && isJsonObject(value[1])
}

function isNumber(value: JsonValue): boolean {
  return typeof value === 'number' || isOddNumber(value)
}

function objectFault(value: JsonValue | undefined, path: string): Misshapen | null {
  return isJsonObject(value) ? null : fault(path, value, 'must be an object')
}

function textsFault(object: JsonObject, path: string): Misshapen | null {
  for (const [key, value] of Object.entries(object))
    if (typeof value !== 'string') return fault(`${path}.${key.slice(0, 100)}`, value, 'must be text')
  return null
}

function fault(path: string, value: JsonValue | undefined, why: string): Misshapen {
  return { path, why: value === undefined ? 'is missing' : why }
}
