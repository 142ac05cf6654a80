/**
 * Would a receiver take this PDU? Its form, its sender's server's signature, and its content hash: the first steps of
 * "Checks performed on receipt of a PDU" (server-server API). Authorisation needs the room's state, which nobody here has.
 *
 * A PDU does not say which room version it is of, so the signature is tried by the rules of each one, newest first. Costs
 * about 10 ms for each try (tweetnacl).
 */
import { canonicalText } from '../../matrix/canonical-json.ts'
import { eventIdOf } from '../../matrix/event-id.ts'
import { domainOf, isRoomId } from '../../matrix/ids.ts'
import { isJsonObject } from '../../matrix/json-value.ts'
import type { JsonObject } from '../../matrix/json-value.ts'
import { hashEvent } from '../../matrix/make-pdu.ts'
import { findMisshapen } from '../../matrix/pdu-shape.ts'
import { redact } from '../../matrix/redaction.ts'
import { knownRoomVersions } from '../../matrix/room-versions.ts'
import type { RoomVersion } from '../../matrix/room-versions.ts'
import { verify } from '../../matrix/signing.ts'
import type { Expected } from './check-request.ts'

export interface CheckedPdu {
  /** As its room version makes it; empty: it has none. */
  readonly eventId: string
  /** What is wrong with it, in words; null: nothing. */
  readonly fault: string | null
}

/** Bytes of the canonical form ("Size limits"). */
const LARGEST = 65_536

type Signer = Pick<Expected, 'origin' | 'verifyKey'>

/** `pdu` as `parseJson` reads it. Whom another server signed can't be checked for that: its key is not known here. */
export function checkPdu(pdu: JsonObject, signer: Signer): CheckedPdu {
  const candidates = versionsFor(pdu)
  const [newest] = candidates
  const told = (version: RoomVersion | undefined, fault: string | null): CheckedPdu => {
    return { eventId: (version === undefined ? null : eventIdOf(pdu, version)) ?? '', fault }
  }
  const misshapen = formFault(pdu, newest ?? null)
  if (misshapen !== null) return told(newest, misshapen)
  const signed = signedBy(pdu, candidates, signer)
  if (typeof signed === 'string') return told(newest, signed)
  const { sha256 } = pdu['hashes'] as JsonObject
  const isAsHashed = hashEvent(pdu) === sha256 || (signed !== undefined && isRedacted(pdu, signed))
  return told(signed, isAsHashed ? null : 'the content hash does not match')
}

/** Nothing is in it but what a redaction leaves. Its hash is that of the whole event, so it need not match. */
function isRedacted(pdu: JsonObject, version: RoomVersion): boolean {
  const whole = { ...pdu }
  delete whole['unsigned']
  return (
    canonicalText(redact(pdu, version), { oddNumbers: 'keep' }) ===
    canonicalText(whole, { oddNumbers: 'keep' })
  )
}

/** One version for each set of rules, newest first: 1 and 2 carry their id in the event, the others may not. */
function versionsFor(pdu: JsonObject): RoomVersion[] {
  const isInside = typeof pdu['event_id'] === 'string'
  const seen = new Set<number>()
  return knownRoomVersions.toReversed().filter(({ eventId, redaction }) => {
    if ((eventId === 'inside') !== isInside || seen.has(redaction)) return false
    seen.add(redaction)
    return true
  })
}

function formFault(pdu: JsonObject, version: RoomVersion | null): string | null {
  const { type, sender, room_id: room, state_key: stateKey, origin_server_ts: ts } = pdu
  if (typeof type !== 'string') return 'no type'
  if (typeof sender !== 'string' || domainOf(sender) === null) return 'no sender'
  // The create event of a room of version 12 or later has none.
  const createsItsRoom = room === undefined && type === 'm.room.create' && stateKey === ''
  if (!createsItsRoom && (typeof room !== 'string' || !isRoomId(room))) return 'no room_id'
  if (!Number.isSafeInteger(ts)) return 'no origin_server_ts'
  const wrong = findMisshapen(pdu, version)
  if (wrong !== null) return `${wrong.path} ${wrong.why}`
  for (const list of ['prev_events', 'auth_events'])
    if (!Array.isArray(pdu[list])) return `${list} is missing`
  const bytes = Buffer.byteLength(canonicalText(pdu, { oddNumbers: 'keep' }))
  return bytes > LARGEST ? `${bytes} bytes; the specification allows ${LARGEST}` : null
}

/** The version by whose rules the signature is right; or what is wrong with it. */
function signedBy(
  pdu: JsonObject,
  candidates: readonly RoomVersion[],
  { origin, verifyKey }: Signer,
): RoomVersion | string | undefined {
  const server = domainOf(pdu['sender'] as string)
  if (server !== origin) return candidates[0]
  const made = (pdu['signatures'] as JsonObject)[origin]
  const [keyId, signature] =
    Object.entries(isJsonObject(made) ? made : {}).find(([id]) => verifyKey(id) !== null) ?? []
  const publicKey = keyId === undefined ? null : verifyKey(keyId)
  if (publicKey === null || typeof signature !== 'string')
    return `${origin} has not signed it with a known key`
  const right = candidates.find((version) => {
    const covered = redact(pdu, version)
    delete covered['signatures']
    return verify(publicKey, canonicalText(covered, { oddNumbers: 'keep' }), signature)
  })
  return right ?? `the signature of ${origin} does not match`
}
