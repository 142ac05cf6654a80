/**
 * Bytes of bodies in memory: what a transaction may hold, from reading its texts to its answer.
 *
 * Limits count requests, and what runs out is memory: so each takes its bytes, when it has its connection and before a text is
 * read for it. A new one takes what is free, up to what a transaction may have, and gives back at once what its PDUs don't
 * need; a repeated transaction takes exactly its own size. Destinations that are failing, slow or never answered hold at most half: a
 * body may be theirs for minutes.
 */
import { makeByteGate, type Bytes, type ByteGate, type Wanted } from '../pace/byte-gate.ts'
import { ENVELOPE_BYTES } from '../matrix/transaction.ts'
import type { Part } from '../pace/part-gate.ts'
import type { DestinationState } from '../store/delivery/destination.ts'

export type { Bytes } from '../pace/byte-gate.ts'

export type Bodies = ByteGate<Part>

/** A transaction with one PDU of the largest size fits. */
const LEAST_BYTES = 70_000

export const makeBodies = (bytes: number): Bodies => makeByteGate<Part>(...sharesOf(bytes))

/** From now on so many bytes. */
export const resizeBodies = (bodies: Bodies, bytes: number): void => bodies.resize(...sharesOf(bytes))

const sharesOf = (bytes: number) => [bytes, { quick: bytes, recovering: Math.floor(bytes / 2) }] as const

/** Whose share it has: its last answer was a quick 200, or it is failing, slow, or never answered. */
export const shareOf = ({ quick }: Pick<DestinationState, 'quick'>): Part => (quick ? 'quick' : 'recovering')

/** What a look at it may need: its unanswered transaction, or a new one. */
export function wantedFor({ open, quick }: DestinationState, maxBodyBytes: number): Wanted<Part> {
  const part = shareOf({ quick })
  if (open !== null && !open.void) return { part, least: open.bytes, most: open.bytes }
  return { part, least: Math.min(LEAST_BYTES, maxBodyBytes), most: maxBodyBytes }
}

/** Memory for the first events that wait, up to one transaction; the bytes of each include its comma. */
export function wantedForSome(
  waiting: readonly { bytes: number }[],
  { maxPdus, maxBodyBytes }: { maxPdus: number; maxBodyBytes: number },
): Wanted<Part> {
  const least = ENVELOPE_BYTES + (waiting[0]?.bytes ?? 0)
  let most = ENVELOPE_BYTES
  for (let i = 0; i < maxPdus && i < waiting.length && most < maxBodyBytes; i += 1)
    most += waiting[i]?.bytes ?? 0
  return { part: 'quick', least, most: Math.max(least, Math.min(most, maxBodyBytes)) }
}

/** How much of a body its PDUs may take. */
export const forPdus = ({ granted }: Bytes, maxBodyBytes: number): number =>
  Math.min(granted, maxBodyBytes) - ENVELOPE_BYTES
