/**
 * Is the form that a `redact` item gives really the redacted form of the event it names?
 *
 * A wrong form, if taken, would leave in place and send on what was to be removed. The form is judged by the room
 * version with which its event was taken. That version is not stored, and the room's may be another one by now, if its
 * first events were told with a wrong version. But the id tells. From room version 3 on the id is a hash over the
 * redacted form: a form that has this id under a version's rules, and contains nothing beyond them, is the right one,
 * whichever version that is. In versions 1 and 2 the event carries its id. Only if no version fits is the stored event
 * asked for its version.
 *
 * The check costs some hashes and a walk through the event, and depends on nothing that changes. So it is done before
 * anything is locked; under the locks only what was not there before is checked.
 */
import { canonicalText } from '../matrix/canonical-json.ts'
import { belongsToRoom, checkEventId } from '../matrix/event-id.ts'
import { JsonError, isJsonObject, type JsonObject } from '../matrix/json-value.ts'
import { findMisshapen } from '../matrix/pdu-shape.ts'
import { redact } from '../matrix/redaction.ts'
import { knownRoomVersions, roomVersion as rulesOf, type RoomVersion } from '../matrix/room-versions.ts'
import { findEvents, readStoredText, type StoredEvent } from '../store/ingest/content.ts'
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
    if (event === undefined) continue
    const fault = await faultOfRedaction(item, { ...event, storedPdu: () => readStoredText(db, event.pos) })
    if (fault === null) checked.set(item, keyOf(event))
  }
}

/** What those of `items` that were found right ahead put in their events' places; of two for one event the later one counts. */
export function textsOf(
  items: readonly Item[],
  targets: ReadonlyMap<string, StoredEvent>,
  checked: CheckedRedactions,
): Map<number, string> {
  const texts = new Map<number, string>()
  for (const item of items) {
    const target = item.type === 'redact' ? targets.get(item.eventId) : undefined
    if (item.type === 'redact' && target !== undefined && checked.get(item) === keyOf(target))
      texts.set(target.pos, item.pdu)
  }
  return texts
}

/** @throws ItemRefused where it is not the redacted form of its event */
export async function checkRedaction(
  item: RedactItem,
  index: number,
  target: RedactTarget,
  checked: CheckedRedactions,
): Promise<void> {
  if (checked.get(item) === keyOf(target)) return
  const fault = await faultOfRedaction(item, target)
  if (fault !== null) throw new ItemRefused(index, fault.path, fault.message)
}

export interface RedactTarget {
  readonly roomId: string
  /** The room's version of now; null: none was ever told. */
  readonly roomVersion: string | null
  /** The event as it is stored; asked for only where the form fits no version. */
  readonly storedPdu: () => Promise<string | null>
}

/** Why a form is not taken. */
export interface RedactFault {
  readonly path: string
  readonly message: string
}

/** Null: the form may take the event's place. An event of a version that is not known has any form. */
export async function faultOfRedaction(item: RedactItem, target: RedactTarget): Promise<RedactFault | null> {
  const current = target.roomVersion === null ? null : rulesOf(target.roomVersion)
  const others = knownRoomVersions.filter((rules) => rules !== current)
  const candidates = [...(current === null ? [] : [current]), ...others.reverse()]
  const likely = candidates.filter((rules) => rules === current || hasIdOf(item.eventId, rules))
  const fitting = likely.find((rules) => faultUnder(rules, item, target.roomId) === null)
  if (fitting !== undefined) return numberFault(item.parsed, fitting)
  const stored = await target.storedPdu()
  if (stored === null) return null
  const own = likely.find((rules) => {
    const check = checkEventId({ pdu: stored, roomVersion: rules.version, eventId: item.eventId })
    return check.kind === 'ok'
  })
  return own === undefined ? null : faultUnder(own, item, target.roomId)
}

/** Ids of versions 1 and 2 name a server, hashes do not. */
function hasIdOf(eventId: string, { eventId: kind }: RoomVersion): boolean {
  return (kind === 'inside') === eventId.includes(':')
}

function faultUnder(
  rules: RoomVersion,
  { eventId, parsed: pdu }: RedactItem,
  roomId: string,
): RedactFault | null {
  const roomVersion = rules.version
  const check = checkEventId({ pdu, roomVersion, eventId })
  if (check.kind === 'mismatch') {
    const has = check.expected === null ? 'no event id' : `the event id ${check.expected}`
    return { path: 'pdu', message: `the redacted form has ${has}, not ${eventId}` }
  }
  // Ids of room versions 1 and 2 say nothing about what they name.
  if (!belongsToRoom({ pdu, roomVersion, eventId, roomId }))
    return { path: 'pdu.room_id', message: `the redacted form does not belong to ${roomId}` }
  const left = beyondRedaction(pdu, rules)
  if (left.length > 0) {
    const what = left.slice(0, 5).join(', ').slice(0, 200)
    const message = `this is not the redacted form: a redaction in room version ${roomVersion} removes ${what}`
    return { path: 'pdu', message }
  }
  const misshapen = findMisshapen(pdu, rules)
  if (misshapen !== null)
    return { path: `pdu.${misshapen.path}`, message: `the redacted form: ${misshapen.path} ${misshapen.why}` }
  return null
}

/** Numbers that canonical JSON does not have, in a room version from 6 on. */
function numberFault(pdu: JsonObject, rules: RoomVersion): RedactFault | null {
  const found = rules.oddNumbers === 'keep' ? null : oddNumberIn(pdu)
  // Its event has the same ones in what its id covers: it was taken, so its version allows them, whatever the room's does.
  if (found === null || oddNumberIn({ ...redact(pdu, rules), signatures: {} }) !== null) return null
  return { path: `pdu.${found.path}`, message: `the redacted form has ${found.message}` }
}

function oddNumberIn(pdu: JsonObject): JsonError | null {
  try {
    canonicalText(pdu, { oddNumbers: 'refuse' })
    return null
  } catch (error) {
    if (!(error instanceof JsonError)) throw error
    return error
  }
}

/** What stands in `pdu` that a redaction would have taken or made otherwise; `unsigned` is not part of an event's content. */
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
