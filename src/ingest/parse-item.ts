/**
 * One item at the door: from JSON to an `Item`, or to an `ItemError` that says which field is wrong and why.
 *
 * What passes can be stored and sent as it is. Every required field must be there, and an unknown field is an error: a
 * misspelt `also_to` must not quietly send an event to fewer servers.
 */
import { canonicalForm, canonicalText } from '../matrix/canonical-json.ts'
import { belongsToRoom, checkEventId } from '../matrix/event-id.ts'
import { isEventId, isRoomId, isUserId } from '../matrix/ids.ts'
import type { EventId, RoomId } from '../matrix/ids.ts'
import { JsonError, isJsonObject, isOddNumber, textOfOddNumber } from '../matrix/json-value.ts'
import type { JsonObject, JsonValue } from '../matrix/json-value.ts'
import { findMisshapen } from '../matrix/pdu-shape.ts'
import { findRespelled } from '../matrix/respelling.ts'
import { roomVersion } from '../matrix/room-versions.ts'
import { isOurs, stickyDuration } from '../matrix/sticky.ts'
import { parseEdu } from './edu/parse-edu.ts'
import { listOf, requireText, type Fail } from './fields.ts'
import { ItemError, whyOf } from './item-error.ts'
import type { EraseItem, Recipients, EventItem, Item, RedactItem, ServersItem } from './items.ts'

export interface ParseOptions {
  readonly serverName: string
  /** Under which names a PDU may say that it is sticky. */
  readonly stickyFieldNames: readonly string[]
}

/** Client-server API, "Size limits": the event as canonical JSON; `unsigned`, which every server makes for itself, aside. */
const MAX_PDU_BYTES = 65_536
// A room version is at most 32 characters (spec: "Room Versions"); one that isn't known yet may be anything printable.
const ROOM_VERSION = /^[!-~]{1,32}$/

/** What an item may have, by its type. */
export const ITEM_FIELDS: Readonly<Record<Item['type'], ReadonlySet<string>>> = {
  event: new Set(['type', 'room_id', 'room_version', 'event_id', 'pdu', 'also_to', 'not_to', 'to', 'sticky']),
  servers: new Set(['type', 'room_id', 'add', 'remove', 'set']),
  redact: new Set(['type', 'event_id', 'pdu']),
  purge: new Set(['type', 'room_id']),
  erase: new Set(['type', 'sender', 'event_ids']),
  server_up: new Set(['type', 'server']),
  edu: new Set(['type', 'edu_type', 'content', 'rooms', 'destinations', 'key', 'ttl_ms', 'durable']),
}

/**
 * `node` as an item.
 * @throws ItemError with the item's `index` and the dotted path of what is wrong
 */
export function parseItem(node: JsonValue, index: number, options: ParseOptions): Item {
  const fail: Fail = (path, why, code) => {
    throw new ItemError(index, path, why, code)
  }
  if (!isJsonObject(node)) return fail('', 'an item must be an object')
  const type = node['type']
  if (typeof type !== 'string') return fail('type', 'must be text')
  if (!isKnown(type)) return fail('type', `unknown item type ${JSON.stringify(type.slice(0, 50))}`)
  for (const key of Object.keys(node))
    if (!ITEM_FIELDS[type].has(key))
      return fail(key.slice(0, 100), `unknown field of an item of type ${type}`)
  switch (type) {
    case 'event':
      return parseEvent(node, options, fail)
    case 'servers':
      return parseServers(node, fail)
    case 'redact':
      return parseRedact(node, fail)
    case 'purge':
      return { type, roomId: roomIdOf(node, fail) }
    case 'erase':
      return parseErase(node, fail)
    case 'server_up':
      return { type, server: requireText(node['server'], 'server', fail) }
    case 'edu':
      return parseEdu(node, fail)
  }
}

function isKnown(type: string): type is keyof typeof ITEM_FIELDS {
  return Object.hasOwn(ITEM_FIELDS, type)
}

function parseEvent(node: JsonObject, options: ParseOptions, fail: Fail): EventItem {
  const roomId = roomIdOf(node, fail)
  const version = requireText(node['room_version'], 'room_version', fail)
  if (!ROOM_VERSION.test(version)) fail('room_version', 'is not a valid room version')
  const eventId = eventIdOf(node, fail)
  const audience = audienceOf(node, fail)
  const flag = node['sticky'] ?? true
  if (typeof flag !== 'boolean') return fail('sticky', 'must be true or false')
  const pdu = pduOf(node, fail)
  refuseMisshapen(pdu, version, fail)
  const sender = senderOf(pdu, fail)
  const originServerTs = sentAt(pdu, fail)
  if (!isInRoom(pdu, { roomId, version, eventId })) fail('pdu.room_id', `does not match room_id ${roomId}`)
  const { text, odd } = formOfPdu(pdu, roomVersion(version)?.oddNumbers ?? 'keep', fail)
  const check = checkEventId({ pdu, roomVersion: version, eventId })
  if (check.kind === 'mismatch')
    fail(
      'event_id',
      `does not match the PDU's event id, which is ${check.expected ?? 'missing (pdu.event_id)'}`,
    )
  const sticky = flag && isOurs(sender, options.serverName)
  return {
    type: 'event',
    roomId,
    roomVersion: version,
    eventId,
    pdu: text,
    ...(odd && { odd }),
    sender,
    originServerTs,
    stickyDurationMs: sticky ? stickyDuration(pdu, options.stickyFieldNames) : null,
    audience,
  }
}

function parseServers(node: JsonObject, fail: Fail): ServersItem {
  const roomId = roomIdOf(node, fail)
  const set = listOf(node, 'set', fail)
  const add = listOf(node, 'add', fail)
  const remove = listOf(node, 'remove', fail)
  if (set === null) {
    if (add === null && remove === null) fail('add', 'needs one of add, remove and set')
    return { type: 'servers', roomId, change: { add: add ?? [], remove: remove ?? [] } }
  }
  if (add !== null || remove !== null)
    fail('set', 'is the whole list: it cannot be combined with add or remove')
  return { type: 'servers', roomId, change: { set } }
}

function parseRedact(node: JsonObject, fail: Fail): RedactItem {
  const eventId = eventIdOf(node, fail)
  const pdu = pduOf(node, fail)
  // What its room version wants of it is asked where that is known.
  refuseMisshapen(pdu, null, fail)
  const sender = senderOf(pdu, fail)
  // Which numbers the room's version allows was asked when the event came.
  return { type: 'redact', eventId, pdu: formOfPdu(pdu, 'keep', fail).text, parsed: pdu, sender }
}

function parseErase(node: JsonObject, fail: Fail): EraseItem {
  const ids = node['event_ids']
  if ((ids === undefined) === (node['sender'] === undefined))
    fail(
      'sender',
      ids === undefined ? 'needs one of sender and event_ids' : 'cannot be combined with event_ids',
    )
  if (ids === undefined) return { type: 'erase', sender: userIdOf(node, 'sender', fail), eventIds: null }
  if (!Array.isArray(ids) || ids.length === 0)
    return fail('event_ids', 'must be a list of event ids, not empty')
  const eventIds = ids.map((id, at) =>
    typeof id === 'string' && isEventId(id) ? id : fail(`event_ids.${at}`, 'is not a valid event id'),
  )
  return { type: 'erase', sender: null, eventIds: [...new Set(eventIds)] }
}

function audienceOf(node: JsonObject, fail: Fail): Recipients {
  const to = listOf(node, 'to', fail)
  const alsoTo = listOf(node, 'also_to', fail)
  const notTo = listOf(node, 'not_to', fail)
  if (to === null) return { alsoTo: alsoTo ?? [], notTo: notTo ?? [] }
  if (alsoTo !== null || notTo !== null)
    fail('to', 'is the exact list of recipients: it cannot be combined with also_to or not_to')
  return { to }
}

function pduOf(node: JsonObject, fail: Fail): JsonObject {
  const pdu = node['pdu']
  if (!isJsonObject(pdu)) return fail('pdu', pdu === undefined ? 'is missing' : 'must be an object')
  requireText(pdu['type'], 'pdu.type', fail)
  return pdu
}

function refuseMisshapen(pdu: JsonObject, version: string | null, fail: Fail): void {
  const found = findMisshapen(pdu, version === null ? null : roomVersion(version))
  if (found !== null) fail(`pdu.${found.path}`, found.why)
}

function formOfPdu(
  pdu: JsonObject,
  oddNumbers: 'keep' | 'refuse',
  fail: Fail,
): { text: string; odd: boolean } {
  // docs/decisions/0010: one such number and receivers refuse everything that is in a transaction with it.
  const respelled = oddNumbers === 'keep' ? findRespelled(pdu) : null
  if (respelled !== null)
    return fail(
      `pdu.${respelled}`,
      "is a number in a form that other servers rewrite (1e3 becomes 1000.0), which breaks the event's signatures",
      'M_BAD_JSON',
    )
  let form: { text: string; odd: boolean }
  try {
    form = canonicalForm(pdu, { oddNumbers })
  } catch (error) {
    if (!(error instanceof JsonError)) throw error
    return fail(error.path === '' ? 'pdu' : `pdu.${error.path}`, whyOf(error), 'M_BAD_JSON')
  }
  const bytes = countedBytes(form.text, pdu)
  if (bytes > MAX_PDU_BYTES)
    fail('pdu', `has ${bytes} bytes of canonical JSON; the limit is ${MAX_PDU_BYTES}`, 'M_TOO_LARGE')
  return form
}

/** The bytes of an event that count; it is nearly always short enough with its `unsigned`. */
function countedBytes(text: string, pdu: JsonObject): number {
  const bytes = Buffer.byteLength(text)
  if (bytes <= MAX_PDU_BYTES || pdu['unsigned'] === undefined) return bytes
  const counted = { ...pdu }
  delete counted['unsigned']
  return Buffer.byteLength(canonicalText(counted, { oddNumbers: 'keep' }))
}

const senderOf = (pdu: JsonObject, fail: Fail): string => userIdOf(pdu, 'sender', fail, 'pdu.')

function userIdOf(node: JsonObject, key: string, fail: Fail, within = ''): string {
  const sender = requireText(node[key], `${within}${key}`, fail)
  return isUserId(sender) ? sender : fail(`${within}${key}`, 'is not a valid user id')
}

/** When it was sent, in whole milliseconds. Old room versions let a fraction through, or a number without end. */
function sentAt(pdu: JsonObject, fail: Fail): number {
  const value = pdu['origin_server_ts']
  if (typeof value === 'number') return value
  if (!isOddNumber(value))
    return fail('pdu.origin_server_ts', value === undefined ? 'is missing' : 'must be a number')
  const limit = Number.MAX_SAFE_INTEGER
  return Math.max(-limit, Math.min(limit, Math.trunc(Number(textOfOddNumber(value)))))
}

function isInRoom(pdu: JsonObject, given: { roomId: RoomId; version: string; eventId: EventId }): boolean {
  const { roomId, version, eventId } = given
  if (belongsToRoom({ pdu, roomVersion: version, eventId, roomId })) return true
  // A room version to come may have create events without a room_id, as 12 has: nothing odd stops the stream.
  return roomVersion(version) === null && pdu['room_id'] === undefined && pdu['type'] === 'm.room.create'
}

function roomIdOf(node: JsonObject, fail: Fail): RoomId {
  const text = requireText(node['room_id'], 'room_id', fail)
  return isRoomId(text) ? text : fail('room_id', 'is not a valid room id')
}

function eventIdOf(node: JsonObject, fail: Fail): EventId {
  const text = requireText(node['event_id'], 'event_id', fail)
  return isEventId(text) ? text : fail('event_id', 'is not a valid event id')
}
