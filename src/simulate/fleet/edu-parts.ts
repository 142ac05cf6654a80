/**
 * What does an EDU say, one thing at a time? An `m.presence` speaks of many users and an `m.receipt` of many rooms,
 * and a sender may pack both as it likes; so what was told and what came are compared part by part.
 */
import { createHash } from 'node:crypto'
import { isJsonObject } from '../../matrix/json-value.ts'
import type { JsonObject, JsonValue } from '../../matrix/json-value.ts'
import type { WireEdu } from './edu-form.ts'

export interface TypingPart {
  readonly kind: 'typing'
  readonly roomId: string
  readonly userId: string
  readonly typing: boolean
}
export interface ReceiptPart {
  readonly kind: 'receipt'
  readonly roomId: string
  readonly type: string
  readonly userId: string
  /** Null: unthreaded. */
  readonly threadId: string | null
  readonly eventId: string
  readonly ts: number
}
export interface PresencePart {
  readonly kind: 'presence'
  readonly userId: string
  readonly presence: string
  readonly statusMsg: string | null
  readonly lastActiveAgo: number
}
export interface ToDevicePart {
  readonly kind: 'to-device'
  readonly sender: string
  readonly messageId: string
  readonly type: string
  /** Whom the messages are for. */
  readonly userIds: readonly string[]
}
export interface DeviceListPart {
  readonly kind: 'device list'
  readonly userId: string
  readonly deviceId: string
  readonly streamId: number
  readonly prevIds: readonly number[]
  readonly deleted: boolean
}
export interface SigningKeysPart {
  readonly kind: 'signing keys'
  readonly userId: string
  /** The EDU's type: the stable or the unstable one. */
  readonly type: string
  /** Hex SHA-256 of the content. */
  readonly sha256: string
}
export interface OtherPart {
  readonly kind: 'other'
  readonly type: string
  /** Hex SHA-256 of the content. */
  readonly sha256: string
}
export type SeenEduPart =
  TypingPart | ReceiptPart | PresencePart | ToDevicePart | DeviceListPart | SigningKeysPart | OtherPart

/** The parts of an EDU in their order. One that has a fault is a part as a whole, of no known type. */
export function partsOf(edu: WireEdu): SeenEduPart[] {
  const { type, content, fault } = edu
  if (fault !== null || type === null) {
    return [{ kind: 'other', type: type ?? '(none)', sha256: hashOf({ fault, content }) }]
  }
  switch (type) {
    case 'm.typing':
      return [
        {
          ...{ kind: 'typing', roomId: text(content['room_id']), userId: text(content['user_id']) },
          typing: content['typing'] === true,
        },
      ]
    case 'm.receipt':
      return receiptParts(content)
    case 'm.presence':
      return presenceParts(content)
    case 'm.direct_to_device':
      return [
        {
          ...{ kind: 'to-device', sender: text(content['sender']), messageId: text(content['message_id']) },
          ...{ type: text(content['type']), userIds: Object.keys(object(content['messages'])) },
        },
      ]
    case 'm.device_list_update':
      return [
        {
          ...{ kind: 'device list', userId: text(content['user_id']), deviceId: text(content['device_id']) },
          streamId: Number(content['stream_id']),
          prevIds: Array.isArray(content['prev_id']) ? content['prev_id'].map(Number) : [],
          deleted: content['deleted'] === true,
        },
      ]
    case 'm.signing_key_update':
    case 'org.matrix.signing_key_update':
      return [{ kind: 'signing keys', userId: text(content['user_id']), type, sha256: hashOf(content) }]
    default:
      return [{ kind: 'other', type, sha256: hashOf(content) }]
  }
}

function receiptParts(content: Readonly<JsonObject>): ReceiptPart[] {
  const parts: ReceiptPart[] = []
  for (const [roomId, byType] of Object.entries(content))
    for (const [type, byUser] of Object.entries(object(byType)))
      for (const [userId, one] of Object.entries(object(byUser))) {
        const { event_ids: ids, data } = object(one)
        const { ts, thread_id: thread } = object(data)
        const [eventId] = Array.isArray(ids) ? ids : []
        const threadId = typeof thread === 'string' ? thread : null
        parts.push({
          ...{ kind: 'receipt', roomId, type, userId, threadId, eventId: text(eventId), ts: Number(ts) },
        })
      }
  return parts
}

function presenceParts({ push }: Readonly<JsonObject>): PresencePart[] {
  return (Array.isArray(push) ? push : []).map((one) => {
    const update = object(one)
    const status = update['status_msg']
    return {
      ...{ kind: 'presence', userId: text(update['user_id']), presence: text(update['presence']) },
      statusMsg: typeof status === 'string' ? status : null,
      lastActiveAgo: Number(update['last_active_ago']),
    }
  })
}

/** What a later part must share with an earlier one to replace it (contract 3); of to-device messages and device lists, what names one. */
export function keyOfPart(part: SeenEduPart): string {
  switch (part.kind) {
    case 'typing':
      return spell(part.kind, part.roomId, part.userId)
    case 'receipt':
      return spell(part.kind, part.roomId, part.type, part.userId, part.threadId)
    case 'presence':
      return spell(part.kind, part.userId)
    case 'to-device':
      return spell(part.kind, part.sender, part.messageId)
    case 'device list':
      return spell(part.kind, part.userId, part.streamId)
    case 'signing keys':
      return spell(part.kind, part.type, part.userId)
    case 'other':
      return spell(part.kind, part.type, part.sha256)
  }
}

/** Its key and what it says; but not `last_active_ago`, which is another one each time. */
export function nameOfPart(part: SeenEduPart): string {
  switch (part.kind) {
    case 'typing':
      return spell(keyOfPart(part), part.typing)
    case 'receipt':
      return spell(keyOfPart(part), part.eventId, part.ts)
    case 'presence':
      return spell(keyOfPart(part), part.presence, part.statusMsg)
    case 'signing keys':
      return spell(keyOfPart(part), part.sha256)
    default:
      return keyOfPart(part)
  }
}

/** The room that it tells of; null: of none. */
export const roomOfPart = (part: SeenEduPart): string | null => ('roomId' in part ? part.roomId : null)

const spell = (...parts: readonly (string | number | boolean | null)[]) =>
  parts.map((part) => String(part ?? '-')).join(' ')
/** Of what was told and of what came alike, so whatever the order of its keys; of odd numbers too. */
const hashOf = (value: object) => createHash('sha256').update(JSON.stringify(value, inOrder)).digest('hex')
const inOrder = (_key: string, value: unknown) =>
  isJsonObject(value) ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) : value
const text = (value: JsonValue | undefined) => (typeof value === 'string' ? value : '')
const object = (value: JsonValue | undefined): JsonObject => (isJsonObject(value) ? value : {})
