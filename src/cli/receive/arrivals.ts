/** What `limpet receive` prints of what it is sent: lines for people, and (`--json`) one JSON object each. */
import { stickyDuration } from '../../matrix/sticky.ts'
import type { OtherContact } from '../../simulate/fleet/fake-homeserver.ts'
import type { LookedAtPdu, LookedAtRequest } from '../../simulate/fleet/receiver.ts'
import { ageText, counted } from '../admin/ages.ts'
import { plain } from '../admin/letters.ts'
import { wrap } from '../admin/wrap.ts'
import type { Screen, Tint } from '../screen.ts'
import { aboutEdu, idsOfEdu } from './about-edu.ts'

export interface TellingOf {
  /** The sender's server name. */
  readonly origin: string
  /** `sticky.field_names`. */
  readonly stickyFields: readonly string[]
}

const text = (value: unknown): string | null => (typeof value === 'string' ? value : null)
/** Behind the time of day. */
const IN = 9

/** As text for a screen; one line each where that has no width. */
export function linesOfRequest(request: LookedAtRequest, told: TellingOf, screen: Screen): string[] {
  const { txnId, at, repeated, status, pdus, edus, objections } = request
  const line = (words: string, ids: readonly string[], tint: Tint | null, indent = ' '.repeat(IN)) =>
    wrap(indent + words, IN + 2, screen.width, ids)
      .split('\n')
      .map((one) => (tint === null ? one : screen.tint(tint, one)))
  const holds = `${counted(pdus.length, 'PDU')}, ${counted(edus.length, 'EDU')}`
  const what =
    status !== 200
      ? `refused with ${status ?? 'no answer'}`
      : `from ${told.origin}: ${holds}, ${repeated ? 'repeated: answered as before' : 'new'}`
  const head = line(
    `transaction ${txnId} ${what}`,
    [txnId, told.origin],
    repeated ? 'warning' : 'title',
    `${timeOf(at)} `,
  )
  if (repeated) return [...head, ...objections.flatMap((one) => line(`objection: ${one}`, [], 'trouble'))]
  return [
    ...head,
    ...pdus.flatMap((one) => line(...wordsOfPdu(one, told), null)),
    ...edus.flatMap(({ type, parts }) => {
      const about = aboutEdu(parts)
      return line(`EDU ${type ?? 'without a type'}${about === '' ? '' : `: ${about}`}`, idsOfEdu(parts), null)
    }),
    ...objections.flatMap((one) =>
      line(
        `objection: ${one}`,
        pdus.map(({ eventId }) => eventId),
        'trouble',
      ),
    ),
  ]
}

function wordsOfPdu({ eventId, pdu }: LookedAtPdu, { stickyFields }: TellingOf): [string, string[]] {
  const [type, room, sender] = [text(pdu['type']), text(pdu['room_id']), text(pdu['sender'])]
  const ms = stickyDuration(pdu, stickyFields)
  const sticky = ms === null ? '' : `, sticky for ${ageText(ms) ?? ''}`
  const id = eventId === '' ? 'without an id' : eventId
  return [
    plain(`PDU ${id}: ${type ?? 'no type'} in ${room ?? 'no room'} by ${sender ?? 'nobody'}${sticky}`),
    [eventId, room ?? '', sender ?? ''],
  ]
}

/** One object for the transaction, one for each PDU, EDU and objection. */
export function objectsOfRequest(request: LookedAtRequest, { origin, stickyFields }: TellingOf): object[] {
  const { txnId: txn_id, at, repeated, status, pdus, edus, objections } = request
  return [
    { kind: 'transaction', txn_id, at, origin, status, repeated, pdus: pdus.length, edus: edus.length },
    ...(repeated ? [] : pdus).map(({ eventId, fault, pdu }) => ({
      ...{ kind: 'pdu', txn_id, event_id: eventId, type: text(pdu['type']), room_id: text(pdu['room_id']) },
      ...{ sender: text(pdu['sender']), sticky_ms: stickyDuration(pdu, stickyFields), error: fault },
    })),
    ...(repeated ? [] : edus).map(({ type, parts, fault }) => {
      return { kind: 'edu', txn_id, edu_type: type, about: aboutEdu(parts), error: fault }
    }),
    ...objections.map((objection) => ({ kind: 'objection', txn_id, objection })),
  ]
}

export const linesOfContact = (words: string, at: number, { width, tint }: Screen): string[] =>
  wrap(`${timeOf(at)} ${words}`, IN, width)
    .split('\n')
    .map((line) => tint('warning', line))

/** In words. */
export function wordsOfContact(contact: OtherContact): string {
  if (contact.kind === 'cut off')
    return `transaction ${contact.txnId} broke off before it was whole; it counts as unanswered`
  if (contact.kind === 'not here')
    return `${contact.method} ${contact.path}: answered with 404, as only PUT /_matrix/federation/v1/send/… is served here`
  if (contact.kind === 'no request')
    return (
      'a connection was closed before any request came: was it limpet, which does not trust our ca.pem? ' +
      'Then start it with the settings above'
    )
  return `a TLS handshake failed (${contact.error.message})`
}

/** Of the day, UTC. */
const timeOf = (at: number): string => new Date(at).toISOString().slice(11, 19)
