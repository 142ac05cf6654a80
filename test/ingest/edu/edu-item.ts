/** An `edu` item as a producer writes it, and as ingest reads it. */
import { ItemError } from '../../../src/ingest/item-error.ts'
import { parseEdu } from '../../../src/ingest/edu/parse-edu.ts'
import type { EduItem } from '../../../src/ingest/items.ts'
import type { JsonObject } from '../../../src/matrix/json-value.ts'
import { parseJson } from '../../../src/matrix/strict-json.ts'

export const ROOM = '!room:home.example'
export const OTHER = '!other:home.example'
export const ALICE = '@alice:home.example'
export const BOB = '@bob:home.example'

/** Reads the item. */
export function readEdu(node: JsonObject): EduItem {
  return parseEdu(node, (path, why, code) => {
    throw new ItemError(0, path, why, code)
  })
}

/** Numbers that JavaScript can't write stand as `"#1.5#"`. */
export const takenEdu = (item: object): EduItem =>
  readEdu(parseJson(JSON.stringify({ type: 'edu', ...item }).replaceAll(/"#(.*?)#"/g, '$1')) as JsonObject)

export const receiptOf = (eventId: string, thread?: string) => ({
  data: { ts: 1, ...(thread === undefined ? {} : { thread_id: thread }) },
  event_ids: [eventId],
})

export const receiptItem = (content: object, also: object = {}) => ({
  edu_type: 'm.receipt',
  content,
  rooms: [ROOM],
  ...also,
})

export const toDeviceContent = (messageId: string) => ({
  sender: ALICE,
  type: 'm.room.encrypted',
  message_id: messageId,
  messages: { '@carol:b.example': { '*': { body: 'x' } } },
})
