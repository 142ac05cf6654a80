/**
 * The body of `PUT /_matrix/federation/v1/send/{txnId}`, put together from texts that are already canonical.
 *
 * Spec: server-server API, "Transactions". The body does not name the destination, so one text can be stored once and
 * sent to many destinations.
 */

/** "A limited size of at most 50 PDUs and 100 EDUs." */
export const MAX_PDUS = 50
export const MAX_EDUS = 100

/** What a body holds beside its PDUs and EDUs, at most, bytes. */
export const ENVELOPE_BYTES = 1_024

export interface TransactionParts {
  origin: string
  /** Milliseconds since the epoch. */
  originServerTs: number
  /** Canonical JSON, one text a PDU. */
  pduTexts: readonly string[]
  /** Canonical JSON, one text an EDU; none: the body has no `edus`. */
  eduTexts?: readonly string[]
}

/**
 * The body as canonical JSON text.
 * @throws RangeError for more PDUs or EDUs than a receiver takes
 */
export function assembleTransaction({
  origin,
  originServerTs,
  pduTexts,
  eduTexts = [],
}: TransactionParts): string {
  if (pduTexts.length > MAX_PDUS) throw new RangeError(`${pduTexts.length} PDUs in one transaction`)
  if (eduTexts.length > MAX_EDUS) throw new RangeError(`${eduTexts.length} EDUs in one transaction`)
  if (!Number.isSafeInteger(originServerTs)) throw new RangeError(`origin_server_ts ${originServerTs}`)
  const edus = eduTexts.length === 0 ? '' : `"edus":[${eduTexts.join(',')}],`
  const head = `{${edus}"origin":${JSON.stringify(origin)},"origin_server_ts":${originServerTs},"pdus":[`
  return `${head}${pduTexts.join(',')}]}`
}
