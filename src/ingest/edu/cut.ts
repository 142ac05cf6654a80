/**
 * What is in an EDU, as pieces that can be replaced and left out one by one. Pure.
 *
 * A receipt is cut into one piece for each room, receipt type and user, presence into one for each user. Everything else is one piece. Of the
 * types that the specification has (server-server API, "EDUs"), a piece without what every receiver needs is malformed, and is left out: it would be of no
 * use to any of them, and where pieces are packed together a receiver that reads strictly would drop the others with it. What else is in a piece
 * is passed on as it is. So are other types, whatever is in them.
 */
import { createHash } from 'node:crypto'
import { isEventId, isUserId } from '../../matrix/ids.ts'
import { isJsonObject, isOddNumber, type JsonObject, type JsonValue } from '../../matrix/json-value.ts'
import type { EduIgnoredWhy, EduPart } from '../items.ts'

export type EduPiece = Pick<EduPart, 'deviceListOf' | 'messageId'> & {
  /** Of the EDU that would hold this piece alone. */
  readonly content: JsonObject
  /** The user or message; '': not known. */
  readonly about: string
  /** Where the type makes its own. */
  readonly key?: string
  /** Where it is not that of its type, ms. */
  readonly ttlMs?: number
  readonly leftOut?: EduIgnoredWhy
}

/** Says "stopped": what it follows may have been delivered, and must not stay (Synapse issue 1422). */
const STOPPED_TYPING_MS = 120_000
/** Server-server API, "Send-to-device messaging": a string of at most 32 code points. */
const MESSAGE_ID = /^[^]{1,32}$/u
const LONGEST_THREAD_ID_BYTES = 255

export function piecesOf(eduType: string, content: JsonObject): EduPiece[] {
  switch (eduType) {
    case 'm.receipt':
      return receipts(content)
    case 'm.presence':
      return presence(content)
    case 'm.typing':
      return [typing(content)]
    case 'm.direct_to_device':
      return [toDevice(content)]
    case 'm.device_list_update':
      return [deviceList(content)]
    case 'm.signing_key_update':
    case 'org.matrix.signing_key_update':
      return [signingKeys(content)]
    default:
      return [{ content, about: '' }]
  }
}

/** Room, receipt type, user, `{data: {ts, thread_id?}, event_ids}`. */
function receipts(content: JsonObject): EduPiece[] {
  return Object.entries(content).flatMap(([room, types]) => {
    if (!isJsonObject(types)) return [malformed(content)]
    return Object.entries(types).flatMap(([type, users]) => {
      if (!isJsonObject(users)) return [malformed(content)]
      return Object.entries(users).map(([user, receipt]) => oneReceipt({ room, type, user, receipt }))
    })
  })
}

function oneReceipt(given: { room: string; type: string; user: string; receipt: JsonValue }): EduPiece {
  const { room, type, user, receipt } = given
  const content = { [room]: { [type]: { [user]: receipt } } }
  // Client-server API, "Private read receipts": they are never shared. The unstable name is MSC2285's.
  if (type === 'm.read.private' || type === 'org.matrix.msc2285.read.private')
    return { content, about: user, leftOut: 'private' }
  if (!isUserId(user) || !isJsonObject(receipt)) return malformed(content, user)
  const { data, event_ids: eventIds } = receipt
  if (!Array.isArray(eventIds) || eventIds.length === 0) return malformed(content, user)
  if (!eventIds.every((id) => typeof id === 'string' && isEventId(id))) return malformed(content, user)
  if (!isJsonObject(data) || !isCount(data['ts'])) return malformed(content, user)
  const thread = data['thread_id']
  if (thread !== undefined && !isThreadId(thread)) return malformed(content, user)
  return { content, about: user, key: keyOf(room, type, user, thread ?? null) }
}

/** `{push: [{user_id, presence, last_active_ago?, …}]}` */
function presence(content: JsonObject): EduPiece[] {
  const { push } = content
  if (!Array.isArray(push)) return [malformed(content)]
  return push.map((update) => {
    const content = { push: [update] }
    if (!isJsonObject(update)) return malformed(content)
    const { user_id: user, last_active_ago: age } = update
    if (!isUser(user)) return malformed(content, user)
    if (typeof update['presence'] !== 'string') return malformed(content, user)
    if (age !== undefined && !isCount(age)) return malformed(content, user)
    return { content, about: user, key: keyOf(user) }
  })
}

/** `{room_id, user_id, typing}` */
function typing(content: JsonObject): EduPiece {
  const { room_id: room, user_id: user, typing: isTyping } = content
  if (typeof room !== 'string' || !isUser(user) || typeof isTyping !== 'boolean')
    return malformed(content, user)
  const key = keyOf(room, user)
  return { content, about: user, key, ...(isTyping ? {} : { ttlMs: STOPPED_TYPING_MS }) }
}

/** `{sender, type, message_id, messages}`; the messages stay as they are. */
function toDevice(content: JsonObject): EduPiece {
  const { sender, type, message_id: messageId, messages } = content
  const about = typeof messageId === 'string' ? messageId : sender
  if (!isMessageId(messageId)) return malformed(content, about)
  if (!isUser(sender) || typeof type !== 'string' || !isJsonObject(messages)) return malformed(content, about)
  return { content, about: messageId, messageId }
}

/** `{user_id, device_id, stream_id, prev_id?, …}` */
function deviceList(content: JsonObject): EduPiece {
  const { user_id: user, device_id: device, stream_id: streamId } = content
  if (!isUser(user) || typeof device !== 'string') return malformed(content, user)
  if (!isNumber(streamId)) return malformed(content, user)
  return { content, about: user, deviceListOf: user }
}

/** `{user_id, …}` */
function signingKeys(content: JsonObject): EduPiece {
  const { user_id: user } = content
  return isUser(user) ? { content, about: user } : malformed(content, user)
}

const malformed = (content: JsonObject, about?: JsonValue): EduPiece => ({
  content,
  about: typeof about === 'string' ? about : '',
  leftOut: 'malformed',
})

const isUser = (value: JsonValue | undefined): value is string => typeof value === 'string' && isUserId(value)

// What is wrong with any other number is that it can't be canonical JSON.
const isNumber = (value: JsonValue | undefined): boolean => typeof value === 'number' || isOddNumber(value)

/** A time or a duration: neither may be below zero. */
const isCount = (value: JsonValue | undefined): boolean =>
  isNumber(value) && !(typeof value === 'number' && value < 0)

/** NUL can't be stored. */
const isMessageId = (value: JsonValue | undefined): value is string =>
  typeof value === 'string' && MESSAGE_ID.test(value) && !value.includes('\0')

const isThreadId = (value: JsonValue): value is string =>
  typeof value === 'string' && value !== '' && Buffer.byteLength(value) <= LONGEST_THREAD_ID_BYTES

const LONGEST_KEY_BYTES = 512

/** One text of names. What is too long to be in an index is a hash, which begins otherwise. */
function keyOf(...names: (string | null)[]): string {
  const text = JSON.stringify(names)
  if (Buffer.byteLength(text) <= LONGEST_KEY_BYTES) return text
  return `sha256:${createHash('sha256').update(text).digest('base64')}`
}
