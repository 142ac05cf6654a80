/**
 * What is left of an event when it is redacted: what hashes and signatures cover.
 *
 * Spec: "Redactions" of each room version. The result shares its parts with the event and does not change it.
 */
import { isJsonObject, setMember } from './json-value.ts'
import type { JsonObject, JsonValue } from './json-value.ts'
import type { RoomVersion } from './room-versions.ts'

const TOP_LEVEL = [
  'event_id',
  'type',
  'room_id',
  'sender',
  'state_key',
  'content',
  'hashes',
  'signatures',
  'depth',
  'prev_events',
  'auth_events',
  'origin_server_ts',
]
// Version 11: "`origin`, `membership`, and `prev_state` are no longer protected from redaction".
const TOP_LEVEL_BEFORE_11 = [...TOP_LEVEL, 'prev_state', 'origin', 'membership']

const POWER_LEVELS = [
  'ban',
  'events',
  'events_default',
  'kick',
  'redact',
  'state_default',
  'users',
  'users_default',
]

/** Event type to the keys of `content` that stay. */
type Kept = ReadonlyMap<string, readonly string[]>

const V6: Kept = new Map([
  ['m.room.member', ['membership']],
  ['m.room.create', ['creator']],
  ['m.room.join_rules', ['join_rule']],
  ['m.room.power_levels', POWER_LEVELS],
  ['m.room.history_visibility', ['history_visibility']],
])
const V8: Kept = new Map([...V6, ['m.room.join_rules', ['join_rule', 'allow']]])
const V9: Kept = new Map([...V8, ['m.room.member', ['membership', 'join_authorised_via_users_server']]])
const KEPT_CONTENT: Readonly<Record<RoomVersion['redaction'], Kept>> = {
  // Version 6: "all significant meaning for `m.room.aliases` has been removed".
  1: new Map([...V6, ['m.room.aliases', ['aliases']]]),
  6: V6,
  8: V8,
  9: V9,
  11: new Map([
    ...V9,
    ['m.room.power_levels', [...POWER_LEVELS, 'invite']],
    ['m.room.redaction', ['redacts']],
  ]),
}

/** The event as the redaction algorithm of its room version leaves it. */
export function redact(pdu: JsonObject, version: RoomVersion): JsonObject {
  const result = pick(pdu, version.redaction < 11 ? TOP_LEVEL_BEFORE_11 : TOP_LEVEL)
  result['content'] = redactContent(pdu['type'], pdu['content'], version.redaction)
  return result
}

function redactContent(
  type: JsonValue | undefined,
  content: JsonValue | undefined,
  rules: RoomVersion['redaction'],
): JsonObject {
  if (!isJsonObject(content) || typeof type !== 'string') return {}
  if (rules < 11) return pick(content, KEPT_CONTENT[rules].get(type) ?? [])
  // Version 11: "allows all keys".
  if (type === 'm.room.create') return content
  const result = pick(content, KEPT_CONTENT[rules].get(type) ?? [])
  const invite = content['third_party_invite']
  // Version 11: "it allows the `signed` key of the `third_party_invite` key". An invite without one leaves an
  // empty object, as in Synapse: with another reading the event would have another id there.
  if (type === 'm.room.member' && isJsonObject(invite))
    result['third_party_invite'] = pick(invite, ['signed'])
  return result
}

function pick(object: JsonObject, keys: readonly string[]): JsonObject {
  const result: JsonObject = {}
  for (const key of keys) {
    const value = Object.hasOwn(object, key) ? object[key] : undefined
    if (value !== undefined) setMember(result, key, value)
  }
  return result
}
