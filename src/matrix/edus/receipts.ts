/**
 * Receipts of many users and rooms in few EDUs.
 *
 * Spec: server-server API, "Receipts": room, receipt type, user, and there is one receipt. So two receipts of one user in one room that
 * differ in their threads can't be in one EDU: each has its own, in the order in which they came.
 */
import { compareCodePoints } from '../canonical-json.ts'
import { eduText, endOfString, MAX_EDU_BYTES, type EduPlace } from './wire.ts'

const FRAME_BYTES = eduText('m.receipt', '{}').length

export interface Receipt {
  readonly room: string
  readonly type: string
  readonly user: string
  /** The receipt itself, canonical JSON. */
  readonly text: string
  readonly threaded: boolean
  /** Room, type and user as one text. */
  readonly whose: string
  /** Of the member of an object that it is. */
  readonly bytes: number
}

/** The receipt in the content of a part, canonical JSON with one room, type and user; null: it holds something else. */
export function readReceipt(content: string): Receipt | null {
  const room = endOfString(content, 1)
  const type = endOfString(content, room + 2)
  const user = endOfString(content, type + 2)
  const isReceipt =
    content.startsWith('{"') &&
    content.startsWith(':{"', room) &&
    content.startsWith(':{"', type) &&
    content.startsWith(':{', user) &&
    content.endsWith('}}}}')
  if (!isReceipt) return null
  const text = content.slice(user + 1, -3)
  const name = unquoted(content.slice(type + 2, user))
  return {
    room: unquoted(content.slice(1, room)),
    type: unquoted(content.slice(room + 2, type)),
    user: name,
    text,
    threaded: text.includes('"thread_id":') && hasThread(text),
    whose: content.slice(0, user),
    bytes: quotedBytes(name) + 1 + Buffer.byteLength(text),
  }
}

const unquoted = (text: string): string =>
  text.includes('\\') ? (JSON.parse(text) as string) : text.slice(1, -1)

/** Not within something else that a receipt may hold one day. */
function hasThread(text: string): boolean {
  const { data } = JSON.parse(text) as { data?: { thread_id?: unknown } | null }
  return data?.thread_id !== undefined
}

/** Types, and the receipts of each. */
type OfRoom = Map<string, Receipt[]>
interface ReceiptEdu {
  readonly rooms: Map<string, OfRoom>
  bytes: number
}

/** Puts receipts together, each in the first EDU with room for it in which its user has none of its kind yet. */
export function packReceipts() {
  const edus: ReceiptEdu[] = []
  const next = new Map<string, number>()
  /** Those before it have turned something away: they are not looked at again. */
  let firstOpen = 0
  return {
    placeOf(receipt: Receipt): EduPlace {
      const from = Math.max(firstOpen, next.get(receipt.whose) ?? 0)
      let at = from
      let bytes = 0
      for (let edu = edus[at]; edu !== undefined; edu = edus[(at += 1)]) {
        bytes = bytesIn(edu, receipt)
        if (edu.bytes + bytes <= MAX_EDU_BYTES) break
      }
      const isNew = edus[at] === undefined
      if (isNew) bytes = FRAME_BYTES + bytesIn({ rooms: new Map() }, receipt)
      const take = () => {
        const edu = (edus[at] ??= { rooms: new Map(), bytes: 0 })
        edu.bytes += bytes
        add(edu, receipt)
        next.set(receipt.whose, at + 1)
        if (from === firstOpen) firstOpen = at
      }
      return { edus: isNew ? 1 : 0, bytes, take }
    },
    texts: (): string[] => edus.map(textOf),
  }
}

/** What the EDU grows by. */
function bytesIn({ rooms }: Pick<ReceiptEdu, 'rooms'>, { room, type, bytes: own }: Receipt): number {
  const ofRoom = rooms.get(room)
  if (ofRoom?.has(type) === true) return own + 1
  const withType = quotedBytes(type) + 3 + own
  if (ofRoom !== undefined) return withType + 1
  return quotedBytes(room) + 3 + withType + (rooms.size > 0 ? 1 : 0)
}

const quotedBytes = (text: string): number => Buffer.byteLength(JSON.stringify(text))

function add({ rooms }: ReceiptEdu, receipt: Receipt): void {
  const ofRoom: OfRoom = rooms.get(receipt.room) ?? new Map<string, Receipt[]>()
  rooms.set(receipt.room, ofRoom)
  const ofType = ofRoom.get(receipt.type)
  if (ofType === undefined) ofRoom.set(receipt.type, [receipt])
  else ofType.push(receipt)
}

function textOf({ rooms }: ReceiptEdu): string {
  const ofType = (receipts: readonly Receipt[]): string =>
    objectText(receipts.map(({ user, text }) => [user, text]))
  const ofRoom = (types: OfRoom): string =>
    objectText([...types].map(([type, receipts]) => [type, ofType(receipts)]))
  return eduText('m.receipt', objectText([...rooms].map(([room, types]) => [room, ofRoom(types)])))
}

function objectText(members: [key: string, text: string][]): string {
  members.sort(([a], [b]) => compareCodePoints(a, b))
  return `{${members.map(([key, text]) => `${JSON.stringify(key)}:${text}`).join(',')}}`
}
