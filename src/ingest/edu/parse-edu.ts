/**
 * An item of type `edu` at the door: its form is checked, its content is cut (`cut.ts`) and made canonical piece by piece (`part-text.ts`).
 *
 * What the producer says itself must be right, or the request is refused: type, audience, key, times. What its users have put into the
 * content never stops it: what can't be sent is left out and listed, and the rest of the item is taken.
 *
 * Always: no server learns of a room that is not its own. A receipt and a typing notification go to the servers of exactly their room.
 */
import { isRoomId, type RoomId } from '../../matrix/ids.ts'
import { isJsonObject, type JsonObject } from '../../matrix/json-value.ts'
import { listOf, requireText, type Fail } from '../fields.ts'
import type { EduIgnoredWhy, EduItem, EduPart, IgnoredEdu } from '../items.ts'
import { piecesOf } from './cut.ts'
import { isDurable, ttlOf } from './defaults.ts'
import { partText } from './part-text.ts'

const LONGEST_NAME_BYTES = 255
/** A year: so that every moment at which something lapses is a date. */
const LONGEST_TTL_MS = 365 * 24 * 60 * 60 * 1000
/** Their keys are made of their content. */
const MAKE_THEIR_KEYS = new Set(['m.receipt', 'm.presence', 'm.typing'])
const LONGEST_IGNORED = 255

/**
 * `node` is an object with known fields only.
 * @throws ItemError by `fail`
 */
export function parseEdu(node: JsonObject, fail: Fail): EduItem {
  const eduType = nameOf(node, 'edu_type', fail)
  const content = node['content']
  if (!isJsonObject(content))
    return fail('content', content === undefined ? 'is missing' : 'must be an object')
  const audience = audienceOf(node, fail)
  refuseOtherRoom(eduType, content, audience, fail)
  const key = node['key'] === undefined ? null : nameOf(node, 'key', fail)
  if (key !== null && MAKE_THEIR_KEYS.has(eduType)) fail('key', `is made of the content of an ${eduType}`)
  const durable = node['durable'] ?? isDurable(eduType)
  if (typeof durable !== 'boolean') return fail('durable', 'must be true or false')
  const asked = ttlAsked(node, fail)

  const parts: EduPart[] = []
  const ignored = new Map<string, IgnoredEdu>()
  const leaveOut = (about: string, why: EduIgnoredWhy): void => {
    const value = shortened(about === '' ? eduType : `${eduType} ${about}`)
    ignored.set(`${why} ${value}`, { value, why })
  }
  for (const { content: piece, about, leftOut, ttlMs, ...own } of piecesOf(eduType, content)) {
    const text = leftOut === undefined ? partText(eduType, piece) : null
    if (text?.kind !== 'made') {
      leaveOut(about, leftOut ?? text?.why ?? 'malformed')
      continue
    }
    const lasts = asked ?? (durable ? null : (ttlMs ?? ttlOf(eduType)))
    parts.push({ key, ...own, content: text.content, durable, ttlMs: lasts, alone: text.alone })
  }
  return { type: 'edu', eduType, audience, parts, ignored: [...ignored.values()] }
}

function audienceOf(node: JsonObject, fail: Fail): EduItem['audience'] {
  const { rooms, destinations } = node
  if ((rooms === undefined) === (destinations === undefined))
    fail(
      'rooms',
      rooms === undefined ? 'needs one of rooms and destinations' : 'cannot be combined with destinations',
    )
  if (rooms === undefined) return { destinations: [...new Set(listOf(node, 'destinations', fail))] }
  if (!Array.isArray(rooms)) return fail('rooms', 'must be a list of room ids')
  const ids = rooms.map((id, at): RoomId =>
    typeof id === 'string' && isRoomId(id) ? id : fail(`rooms.${at}`, 'is not a valid room id'),
  )
  return { rooms: [...new Set(ids)] }
}

/** Where its content is about a room, it goes to the servers of that room, and to no others. */
function refuseOtherRoom(
  eduType: string,
  content: JsonObject,
  audience: EduItem['audience'],
  fail: Fail,
): void {
  if (eduType !== 'm.receipt' && eduType !== 'm.typing') return
  if (!('rooms' in audience))
    return fail('destinations', `an ${eduType} goes to the servers of its room: name that in rooms`)
  const about =
    eduType === 'm.receipt'
      ? Object.keys(content)
      : [requireText(content['room_id'], 'content.room_id', fail)]
  if (about.length !== 1) fail('content', `must be about exactly one room, and is about ${about.length}`)
  if (audience.rooms.length !== 1 || audience.rooms[0] !== about[0])
    fail('rooms', 'must be exactly the one room that the content is about')
}

/** A name that is stored and compared. */
function nameOf(node: JsonObject, field: string, fail: Fail): string {
  const name = requireText(node[field], field, fail)
  if (name === '' || Buffer.byteLength(name) > LONGEST_NAME_BYTES || name.includes('\0'))
    fail(field, `must have 1 to ${LONGEST_NAME_BYTES} bytes and no NUL`)
  return name
}

function ttlAsked(node: JsonObject, fail: Fail): number | null {
  const asked = node['ttl_ms']
  if (asked === undefined) return null
  if (typeof asked !== 'number' || asked < 1 || asked > LONGEST_TTL_MS)
    return fail('ttl_ms', `must be a whole number from 1 to ${LONGEST_TTL_MS} (a year)`)
  return asked
}

/** Without half a character at the end. */
const shortened = (text: string): string =>
  text.length <= LONGEST_IGNORED
    ? text
    : `${text.slice(0, LONGEST_IGNORED - 1).replace(/[\ud800-\udbff]$/, '')}…`
