/**
 * Whether a request to `/send` is one that a strict homeserver takes: who signed it, for whom, and its limits.
 *
 * The signature is checked with tweetnacl, which shares no code with the sender's `node:crypto`, and over bytes
 * put together here, not by the sender's function. It costs about 10 ms, so a large fleet checks a sample.
 */
import { verify } from '../matrix/signing.ts'
import { parseXMatrix } from '../matrix/x-matrix.ts'
import type { Pdu } from './behaviour.ts'

// Spec, server-server API, "Transactions": at most 50 PDUs and 100 EDUs.
const MAX_PDUS = 50
const MAX_EDUS = 100

export interface Refusal {
  readonly status: number
  readonly errcode: string
  readonly why: string
}

export interface Contents {
  readonly pdus: readonly Pdu[]
  readonly edus: number
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
  /** The raw public key (32 bytes) of a key id such as `ed25519:a_1`; null: unknown. */
  readonly verifyKey: (keyId: string) => Uint8Array | null
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
  const { origin, destination } = expected
  const signed =
    `{"content":${request.body},"destination":${JSON.stringify(destination)},"method":"${request.method}",` +
    `"origin":${JSON.stringify(origin)},"uri":${JSON.stringify(request.uri)}}`
  return verify(signed, claim.signature, publicKey) ? null : unauthorized('the signature does not match')
}

/** The PDUs and the number of EDUs in a transaction's body, or why it is refused. */
export function readTransaction(body: string, origin: string): Contents | Refusal {
  const bad = (why: string): Refusal => ({ status: 400, errcode: 'M_BAD_JSON', why })
  let parsed: unknown
  try {
    parsed = JSON.parse(body)
  } catch {
    return bad('the body is no JSON')
  }
  if (!isObject(parsed)) return bad('the body is no object')
  const { origin: said, origin_server_ts: ts, pdus, edus } = parsed
  if (said !== origin) return bad('the origin in the body is not who signed it')
  if (!Number.isSafeInteger(ts)) return bad('no origin_server_ts')
  if (!Array.isArray(pdus) || !pdus.every(isObject)) return bad('pdus is no list of objects')
  if (edus !== undefined && !Array.isArray(edus)) return bad('edus is no list')
  if (pdus.length > MAX_PDUS) return bad(`${pdus.length} PDUs`)
  const eduCount = edus?.length ?? 0
  if (eduCount > MAX_EDUS) return bad(`${eduCount} EDUs`)
  return { pdus, edus: eduCount }
}

export function isRefusal(value: Contents | Refusal): value is Refusal {
  return 'errcode' in value
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
