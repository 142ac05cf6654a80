/**
 * Has this EDU the form that the spec gives its type, and does it speak of its origin's own users?
 *
 * Spec: server-server API, "EDUs", "Typing Notifications", "Presence", "Receipts", "Device Management", "End-to-End
 * Encryption", "Send-to-device messaging". EDUs of unknown types need only be EDUs. Of one EDU the first fault is told.
 */
import { canonicalText } from '../../matrix/canonical-json.ts'
import { domainOf, isEventId, isRoomId } from '../../matrix/ids.ts'
import { isJsonObject } from '../../matrix/json-value.ts'
import type { JsonObject } from '../../matrix/json-value.ts'
import { parseJson } from '../../matrix/strict-json.ts'

/** An EDU as it came. */
export interface WireEdu {
  /** Null: it says none. */
  readonly type: string | null
  readonly content: Readonly<JsonObject>
  /** What is wrong with it, in words; null: nothing. */
  readonly fault: string | null
}

/** Users in one `m.presence`, at most (contract 3). */
const MOST_PUSHED = 50
/** "of maximum length 32 codepoints" */
const LONGEST_MESSAGE_ID = 32
const PRESENCES: readonly unknown[] = ['offline', 'unavailable', 'online']

/** `ours`: whether it is a user of the origin. */
type Check = (content: Readonly<JsonObject>, ours: (user: unknown) => boolean) => string | null

const CHECKS: Readonly<Record<string, Check>> = {
  'm.typing': typing,
  'm.receipt': receipts,
  'm.presence': presence,
  'm.device_list_update': deviceList,
  'm.signing_key_update': signingKeys,
  'org.matrix.signing_key_update': signingKeys,
  'm.direct_to_device': toDevice,
}

/** `edu`: an element of a transaction's `edus`; `origin`: who sent it. */
export function readEdu(edu: unknown, origin: string): WireEdu {
  const broken = (fault: string): WireEdu => ({ type: null, content: {}, fault })
  if (!isJsonObject(edu)) return broken('not an object')
  const { edu_type: type, content } = edu
  if (typeof type !== 'string') return broken('no edu_type')
  if (!isJsonObject(content)) return { type, content: {}, fault: 'no content' }
  const ours = (user: unknown) =>
    typeof user === 'string' && user.startsWith('@') && domainOf(user) === origin
  const check = Object.hasOwn(CHECKS, type) ? CHECKS[type] : undefined
  return { type, content, fault: check?.(content, ours) ?? null }
}

/** The first number in a body's EDUs that has no canonical form, in words with its place; null: all are canonical. */
export function oddNumberIn(body: string): string | null {
  try {
    const parsed = parseJson(body)
    canonicalText((isJsonObject(parsed) ? parsed['edus'] : undefined) ?? [])
    return null
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

function typing(content: Readonly<JsonObject>, ours: (user: unknown) => boolean): string | null {
  const { room_id: room, user_id: user, typing: is } = content
  if (typeof room !== 'string' || !isRoomId(room)) return 'no room_id'
  if (!ours(user)) return NOT_OURS
  return typeof is === 'boolean' ? null : 'typing is no boolean'
}

const NOT_OURS = 'the user is not of the origin'

function receipts(content: Readonly<JsonObject>, ours: (user: unknown) => boolean): string | null {
  for (const [room, byType] of Object.entries(content)) {
    if (!isRoomId(room)) return 'a key that is not a room id'
    if (!isJsonObject(byType) || !Object.hasOwn(byType, 'm.read')) return 'a room without m.read'
    for (const [type, byUser] of Object.entries(byType)) {
      if (type === 'm.read.private') return 'a private receipt'
      if (!isJsonObject(byUser)) return 'receipts that are no object'
      for (const [user, one] of Object.entries(byUser)) {
        const fault = ours(user) ? receipt(one) : NOT_OURS
        if (fault !== null) return fault
      }
    }
  }
  return null
}

function receipt(one: unknown): string | null {
  if (!isJsonObject(one)) return 'a receipt that is no object'
  const { event_ids: ids, data } = one
  if (!Array.isArray(ids) || ids.length !== 1) return 'not exactly one event id'
  const [id] = ids
  if (typeof id !== 'string' || !isEventId(id)) return 'an event id that is none'
  if (!isJsonObject(data) || !Number.isSafeInteger(data['ts'])) return 'no ts'
  const thread = data['thread_id']
  return thread === undefined || typeof thread === 'string' ? null : 'a thread_id that is no string'
}

function presence({ push }: Readonly<JsonObject>, ours: (user: unknown) => boolean): string | null {
  if (!Array.isArray(push)) return 'push is no list'
  if (push.length > MOST_PUSHED) return `${push.length} users in push`
  for (const one of push) {
    if (!isJsonObject(one)) return 'an update that is no object'
    if (!ours(one['user_id'])) return NOT_OURS
    if (!PRESENCES.includes(one['presence'])) return 'an unknown presence'
    const ago = one['last_active_ago']
    if (typeof ago !== 'number' || !Number.isSafeInteger(ago) || ago < 0) return 'last_active_ago is no time'
    const fault = optional(one, { status_msg: 'string', currently_active: 'boolean' })
    if (fault !== null) return fault
  }
  return null
}

function deviceList(content: Readonly<JsonObject>, ours: (user: unknown) => boolean): string | null {
  const { user_id: user, device_id: device, stream_id: stream, prev_id: prev, keys } = content
  if (!ours(user)) return NOT_OURS
  if (typeof device !== 'string') return 'no device_id'
  if (!Number.isSafeInteger(stream)) return 'no stream_id'
  if (prev !== undefined && !(Array.isArray(prev) && prev.every((id) => Number.isSafeInteger(id))))
    return 'prev_id is not a list of integers'
  if (keys !== undefined && !isJsonObject(keys)) return 'keys are no object'
  return optional(content, { deleted: 'boolean', device_display_name: 'string' })
}

function signingKeys(content: Readonly<JsonObject>, ours: (user: unknown) => boolean): string | null {
  if (!ours(content['user_id'])) return NOT_OURS
  for (const key of ['master_key', 'self_signing_key'])
    if (content[key] !== undefined && !isJsonObject(content[key])) return `${key} is no object`
  return null
}

function toDevice(content: Readonly<JsonObject>, ours: (user: unknown) => boolean): string | null {
  const { sender, type, message_id: id, messages } = content
  if (!ours(sender)) return NOT_OURS
  if (typeof type !== 'string') return 'no type'
  if (typeof id !== 'string') return 'no message_id'
  const length = Array.from(id).length
  if (length > LONGEST_MESSAGE_ID) return `a message_id of ${length} code points`
  if (!isJsonObject(messages)) return 'messages are no object'
  const devices = Object.values(messages)
  const fits = devices.every(
    (byDevice) => isJsonObject(byDevice) && Object.values(byDevice).every(isJsonObject),
  )
  return fits ? null : 'messages are not by user and device'
}

function optional(
  object: Readonly<JsonObject>,
  types: Readonly<Record<string, 'string' | 'boolean'>>,
): string | null {
  for (const [key, type] of Object.entries(types))
    if (object[key] !== undefined && typeof object[key] !== type) return `${key} is no ${type}`
  return null
}
