/**
 * Would a strict homeserver take this request to `/send`? Who signed it, for whom, and is it within the limits?
 *
 * The signature is checked as a real receiver does it: the body is parsed and encoded again, so a body that was not
 * canonical fails. tweetnacl checks, and shares no code with the `node:crypto` that signs. It costs about 10 ms, so a
 * large fleet checks a sample.
 */
import { canonicalFromValue, canonicalText } from '../../matrix/canonical-json.ts'
import { isJsonObject } from '../../matrix/json-value.ts'
import { verify } from '../../matrix/signing.ts'
import { parseJson } from '../../matrix/strict-json.ts'
import { MAX_EDUS, MAX_PDUS } from '../../matrix/transaction.ts'
import { parseXMatrix } from '../../matrix/x-matrix.ts'
import type { Pdu } from './behaviour.ts'
import { readEdu } from './edu-form.ts'
import type { WireEdu } from './edu-form.ts'
import type { EduByParts } from './edu-memory.ts'
import { partsOf } from './edu-parts.ts'

export interface Refusal {
  readonly status: number
  readonly errcode: string
  readonly why: string
}

export interface Contents {
  readonly pdus: readonly Pdu[]
  /** Those with a fault too: real receivers pass over most of them. */
  readonly edus: readonly (WireEdu & EduByParts)[]
  readonly originServerTs: number
}

export interface SignedRequest {
  readonly method: string
  readonly uri: string
  readonly authorization: string | undefined
  readonly body: string
}

export interface Expected {
  readonly origin: string
  readonly destination: string
  /** The public key (32 bytes, or base64) of a key id such as `ed25519:a_1`; null: unknown. */
  readonly verifyKey: (keyId: string) => Uint8Array | string | null
}

/** Why the request's `Authorization` is refused, or null. `deep: false` leaves out the signature itself. */
export function refuseUnsigned(request: SignedRequest, expected: Expected, deep: boolean): Refusal | null {
  const unauthorized = (why: string): Refusal => ({ status: 401, errcode: 'M_UNAUTHORIZED', why })
  const claim = request.authorization === undefined ? null : parseXMatrix(request.authorization)
  if (claim === null) return unauthorized('no X-Matrix authorization')
  if (claim.origin !== expected.origin) return unauthorized(`signed by ${claim.origin}`)
  if (claim.destination !== expected.destination) {
    return unauthorized(`signed for ${claim.destination ?? 'nobody'}, not for ${expected.destination}`)
  }
  const publicKey = expected.verifyKey(claim.keyId)
  if (publicKey === null) return unauthorized(`unknown key ${claim.keyId}`)
  if (!deep) return null
  const signed = textToVerify(request, expected)
  return signed !== null && verify(publicKey, signed, claim.signature)
    ? null
    : unauthorized('the signature does not match')
}

function textToVerify(
  { method, uri, body }: SignedRequest,
  { origin, destination }: Expected,
): string | null {
  try {
    const content = canonicalText(parseJson(body), { oddNumbers: 'keep' })
    return `{"content":${content},${canonicalFromValue({ destination, method, origin, uri }).slice(1)}`
  } catch {
    return null
  }
}

/** The PDUs and EDUs in a transaction's body, or why it is refused. */
export function readTransaction(body: string, origin: string): Contents | Refusal {
  const bad = (why: string): Refusal => ({ status: 400, errcode: 'M_BAD_JSON', why })
  let parsed: unknown
  try {
    parsed = JSON.parse(body)
  } catch {
    return bad('the body is not JSON')
  }
  if (!isJsonObject(parsed)) return bad('the body is not an object')
  const { origin: said, origin_server_ts: ts, pdus, edus } = parsed
  if (said !== origin) return bad('the origin in the body is not the server that signed it')
  if (typeof ts !== 'number' || !Number.isSafeInteger(ts)) return bad('no origin_server_ts')
  if (!Array.isArray(pdus) || !pdus.every(isJsonObject)) return bad('pdus is not a list of objects')
  if (edus !== undefined && !Array.isArray(edus)) return bad('edus is not a list')
  if (pdus.length > MAX_PDUS) return bad(`${pdus.length} PDUs`)
  const all = edus ?? []
  if (all.length > MAX_EDUS) return bad(`${all.length} EDUs`)
  const read = all.map((edu) => {
    const one = readEdu(edu, origin)
    return { ...one, parts: partsOf(one) }
  })
  return { pdus, edus: read, originServerTs: ts }
}

export function isRefusal(value: Contents | Refusal): value is Refusal {
  return 'errcode' in value
}
