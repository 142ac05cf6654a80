/**
 * Is this the redacted form of that event? Asked of every `redact` whose event is held; what is not is refused with its
 * place, and nothing of its request is taken.
 *
 * It costs a hash and a walk through the event, and depends on nothing that changes: so it is asked before anything is
 * locked, and under the locks only of what was not there yet then.
 */
import { canonicalText } from '../matrix/canonical-json.ts'
import { belongsToRoom, checkEventId } from '../matrix/event-id.ts'
import { JsonError, isJsonObject, type JsonObject } from '../matrix/json-value.ts'
import { redact } from '../matrix/redaction.ts'
import { roomVersion as rulesOf, type RoomVersion } from '../matrix/room-versions.ts'
import { findEvents, type StoredEvent } from '../store/content.ts'
import type { Db } from '../store/db.ts'
import type { Item, RedactItem } from './items.ts'

/** An item that only the database could show to be wrong: nothing of its request is taken. */
export class ItemRefused extends Error {
  readonly code = 'ITEM_REFUSED'
  readonly index: number
  readonly path: string
  constructor(index: number, path: string, message: string) {
    super(message)
    this.index = index
    this.path = path
  }
}

/** Items that were found right, each with the room and version of its event then. */
export type CheckedRedactions = Map<RedactItem, string>

type Of = Pick<StoredEvent, 'roomId' | 'roomVersion'>
const keyOf = ({ roomId, roomVersion }: Of) => `${roomVersion} ${roomId}`

/** Checks what is held already. What is wrong is not said yet: its request may be one that is not taken at all. */
export async function checkAhead(db: Db, items: readonly Item[], checked: CheckedRedactions): Promise<void> {
  const redacts = items.filter((item) => item.type === 'redact').filter((item) => !checked.has(item))
  if (redacts.length === 0) return
  const events = await findEvents(
    db,
    redacts.map(({ eventId }) => eventId),
  )
  for (const item of redacts) {
    const event = events.get(item.eventId)
    if (event !== undefined && whyNot(item, event) === null) checked.set(item, keyOf(event))
  }
}

/** @throws ItemRefused where it is not the redacted form of `event` */
export function checkRedaction(item: RedactItem, index: number, event: Of, checked: CheckedRedactions): void {
  if (checked.get(item) === keyOf(event)) return
  const wrong = whyNot(item, event)
  if (wrong !== null) throw new ItemRefused(index, wrong.path, wrong.message)
}

interface Wrong {
  path: string
  message: string
}

/** The redacted form must be one, of this event, and hold only numbers that its room version allows. */
function whyNot(item: RedactItem, { roomId, roomVersion }: Of): Wrong | null {
  if (roomVersion === null) return null
  const { eventId, parsed: pdu } = item
  const check = checkEventId({ pdu, roomVersion, eventId })
  if (check.kind === 'mismatch') {
    const has = check.expected === null ? 'no event id' : `the event id ${check.expected}`
    return { path: 'pdu', message: `the redacted form has ${has}, not ${eventId}` }
  }
  // Ids of room versions 1 and 2 say nothing about what they name.
  if (check.kind === 'ok' && !belongsToRoom({ pdu, roomVersion, eventId, roomId })) {
    return { path: 'pdu.room_id', message: `the redacted form is not of ${roomId}` }
  }
  const rules = rulesOf(roomVersion)
  const left = rules === null ? [] : beyondRedaction(pdu, rules)
  if (left.length > 0) {
    // Taken, it would leave in place, and send on, what was to be taken away: nobody would see the producer's mistake.
    const what = left.slice(0, 5).join(', ').slice(0, 200)
    const message = `this is not the redacted form: a redaction in room version ${roomVersion} takes away ${what}`
    return { path: 'pdu', message }
  }
  try {
    canonicalText(pdu, { oddNumbers: rules?.oddNumbers ?? 'keep' })
    return null
  } catch (error) {
    if (!(error instanceof JsonError)) throw error
    return { path: `pdu.${error.path}`, message: `the redacted form has ${error.message}` }
  }
}

/** What stands in `pdu` that a redaction would have taken or made otherwise; `unsigned` is nobody's content. */
function beyondRedaction(pdu: JsonObject, rules: RoomVersion): string[] {
  const form = redact(pdu, rules)
  const differing = (given: JsonObject, kept: JsonObject) =>
    Object.keys(given).filter((key) => !Object.hasOwn(kept, key) || !isSame(given[key], kept[key]))
  const keys = differing(pdu, form).filter((key) => key !== 'unsigned')
  const { content } = pdu
  return keys.flatMap((key) =>
    key === 'content' && isJsonObject(content) && isJsonObject(form['content'])
      ? differing(content, form['content']).map((inner) => `content.${inner}`)
      : [key],
  )
}

function isSame(one: JsonObject[string] | undefined, other: JsonObject[string] | undefined): boolean {
  const textOf = (value: JsonObject[string] | undefined) =>
    canonicalText({ value: value ?? null }, { oddNumbers: 'keep' })
  return one === other || textOf(one) === textOf(other)
}
