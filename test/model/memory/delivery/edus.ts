/** `store/delivery/{edus,find-edus}.ts` and what `destination.ts` reads of them: which EDUs a destination has still to get. */
import type { EduRow } from '../rows.ts'
import { twin, type Call, type Twins } from '../statement.ts'
import { held } from './leases.ts'

/** Destination, after, up to, rows, bytes. */
type Read = [id: number, after: number, upto: number, limit: number, bytes: number]

/** Rows of a window, as the statements have it. */
const WINDOW = { any: 2_000, durable: 100, sets: 1_000 }
/** A window of durable ones has at least these positions. */
const DURABLE_SPAN = 1_000

/** Those in the window, and up to where that reaches. */
function windowOf(
  { t }: Call,
  [, after, upto]: Read,
  rows: number,
  isOfIt: (edu: EduRow) => boolean,
): { within: EduRow[]; end: number } {
  const within = t.edus
    .all()
    .filter((edu) => edu.pos > after && edu.pos <= upto && isOfIt(edu))
    .sort((a, b) => a.pos - b.pos)
    .slice(0, rows)
  return { within, end: within.length === rows ? (within.at(-1)?.pos ?? upto) : upto }
}

const onList = ({ t }: Call, { recipients }: EduRow, id: number): boolean =>
  recipients !== null && t.recipients.all().some((one) => one.id === recipients && one.list.includes(id))

/** It was in the room, or in one of the rooms, at the position of the EDU. */
function inRooms({ t, rules }: Call, { pos, room, rooms }: EduRow, id: number): boolean {
  const those = room !== null ? [room] : (t.edu_rooms.get(rooms ?? -1)?.rooms ?? [])
  return those.some((one) => rules.memberAt(t, { room: one, pos }, id))
}

/** As many of the contents as fit into so many bytes, and the first; the rest are null. A row without an EDU says how far was read. */
function answerOf(found: readonly EduRow[], upto: number, bytes: number): object[] {
  const none = { pos: null, type: null, content: null, received_ts: null, expires_at: null }
  if (found.length === 0) return [{ upto, ...none, alone: null, key: null, who: null }]
  let sum = 0
  return found.map(({ pos, type, content, received_ts, expires_at, alone, key, who }) => {
    const length = Buffer.byteLength(content) + 1
    sum += length
    const text = sum <= bytes || sum === length ? content : null
    return { upto, pos, type, content: text, received_ts, expires_at, alone, key, who }
  })
}

const inOrder = (edus: readonly EduRow[], limit: number): EduRow[] =>
  edus.toSorted((a, b) => a.pos - b.pos).slice(0, limit)

export const EDUS = {
  'read durable EDUs': twin<Read>((call, ...read) => {
    const [id, after, upto, limit, bytes] = read
    const ofRooms = (edu: EduRow) => edu.durable && edu.recipients === null
    const end = Math.min(
      upto,
      Math.max(after + DURABLE_SPAN, windowOf(call, read, WINDOW.durable, ofRooms).end),
    )
    const within = call.t.edus.all().filter((edu) => edu.pos > after && edu.pos <= end && ofRooms(edu))
    const listed = call.t.edus
      .all()
      .filter((edu) => edu.durable && edu.pos > after && edu.pos <= end && onList(call, edu, id))
    const found = [...within.filter((edu) => inRooms(call, edu, id)), ...listed]
    return answerOf(inOrder(found, limit), end, bytes)
  }),
  'read ephemeral EDUs': twin<Read>((call, ...read) => {
    const [id, , , limit, bytes] = read
    const { within, end } = windowOf(call, read, WINDOW.any, () => true)
    const found = within.filter((edu) => !edu.durable && (inRooms(call, edu, id) || onList(call, edu, id)))
    return answerOf(inOrder(found, limit), end, bytes)
  }),
  'read ephemeral EDUs room by room': twin<Read>((call, ...read) => {
    const [id, after, , limit, bytes] = read
    const { end } = windowOf(call, read, WINDOW.sets, (edu) => !edu.durable && edu.rooms !== null)
    const found = call.t.edus
      .all()
      .filter((edu) => !edu.durable && edu.pos > after && edu.pos <= end)
      .filter((edu) => inRooms(call, edu, id) || onList(call, edu, id))
    return answerOf(inOrder(found, limit), end, bytes)
  }),
  'read EDUs of a transaction': twin<[number[]]>(({ t }, positions) =>
    positions.flatMap((pos) => {
      const edu = t.edus.get(pos)
      return edu === undefined ? [] : [{ type: edu.type, content: edu.content, received_ts: edu.received_ts }]
    }),
  ),
  'move the cursors of EDUs': twin<[string, number, number, number, number]>(
    (call, worker, fence, id, durable, ephemeral) => {
      const d = held(call, worker, fence, id)
      if (d === null) return 0
      call.t.destinations.change(id, {
        durable_pos: Math.max(d.durable_pos, durable),
        ephemeral_pos: Math.max(d.ephemeral_pos, ephemeral),
      })
      return 1
    },
  ),
} satisfies Twins
