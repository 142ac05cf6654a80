/**
 * What goes into the next transaction? Pure: what was read of the lanes in, a plan out.
 *
 * The lanes are asked in their order, and what was chosen is then put in stream order.
 * Always: at most `maxPdus` and `maxBytes`, except that a single PDU may be larger; one that is odd has a transaction of its own; nothing that lapsed
 * goes as a replay; what a plan
 * acknowledges is a prefix of each lane, so that no cursor ever passes something that is owed and was not chosen.
 */
import type { Acknowledges, Letter, OwedPdu, Reading, Space } from '../lanes/lane.ts'
import { LANES } from '../lanes/list.ts'
import type { EduPlan } from './plan-edus.ts'
import type { EduCursors } from '../../store/delivery/leases.ts'
import type { Apart } from '../../store/delivery/apart.ts'

export interface Limits {
  maxPdus: number
  /** Bytes that the PDUs together may take, commas included. */
  maxBytes: number
}

/** A PDU that has a place, and the letter of its lane. */
export interface ChosenPdu {
  pdu: OwedPdu
  letter: Letter
}

export interface Sending {
  do: 'send'
  pdus: ChosenPdu[]
  /** When the first of its replays lapses, ms since the epoch; null: it has none. */
  soonestLapse: number | null
  acknowledges: Acknowledges
  /** Its PDUs are apart: no cursor moves for it. */
  apart?: ApartTransaction
  /** EDUs that go with it, or alone; absent: none was there. */
  edus?: SentEdus
}

/** Without cursors it is one EDU that is apart (`store/delivery/edus-apart.ts`). */
export type SentEdus = Omit<EduPlan, 'cursors'> & { readonly cursors: EduCursors | null }

/** A transaction of PDUs that are apart, and all that is apart beside them. */
export interface ApartTransaction extends Apart {
  kind: 'half' | 'aside'
}

export type Plan =
  | Sending
  /** Nothing to send, but cursors move: a gap is through, or the log held nothing for it. */
  | { do: 'move'; acknowledges: Acknowledges }
  | { do: 'nothing' }

export function planTransaction(reading: Reading, limits: Limits): Plan {
  const chosen = new Map<number, ChosenPdu>()
  const space = spaceFor(chosen, limits)
  const acknowledges: Acknowledges = {
    position: reading.position,
    gapCursor: null,
    closesGap: false,
    sticky: [],
  }
  for (const lane of LANES) Object.assign(acknowledges, lane.offer(reading, space))
  if (chosen.size > 0) {
    const pdus = inOrder([...chosen.values()])
    return { do: 'send', pdus, soonestLapse: soonestLapseOf(pdus), acknowledges }
  }
  const moves = acknowledges.position > reading.position || acknowledges.gapCursor !== null
  return moves ? { do: 'move', acknowledges } : { do: 'nothing' }
}

function spaceFor(chosen: Map<number, ChosenPdu>, { maxPdus, maxBytes }: Limits): Space {
  let bytes = 0
  let isFull = false
  return {
    maxPdus,
    taken: () => chosen.size,
    has: (pos) => chosen.has(pos),
    give(pdu, letter) {
      if (chosen.has(pdu.pos)) return true
      if (isFull || (pdu.odd === true && chosen.size > 0)) return false
      const size = Buffer.byteLength(pdu.pdu) + 1
      if (chosen.size >= maxPdus || (chosen.size > 0 && bytes + size > maxBytes)) return false
      chosen.set(pdu.pos, { pdu, letter })
      isFull = pdu.odd === true
      bytes += size
      return true
    },
  }
}

/** In stream order, as they are already where one lane alone had anything. */
function inOrder(pdus: ChosenPdu[]): ChosenPdu[] {
  for (let i = 1; i < pdus.length; i += 1) {
    if ((pdus[i - 1]?.pdu.pos ?? 0) > (pdus[i]?.pdu.pos ?? 0))
      return pdus.sort((a, b) => a.pdu.pos - b.pdu.pos)
  }
  return pdus
}

export function soonestLapseOf(pdus: readonly ChosenPdu[]): number | null {
  let soonest: number | null = null
  for (const { letter, pdu } of pdus) {
    const { expiresAt } = pdu
    if ((letter !== 's' && letter !== 'S') || expiresAt === undefined) continue
    soonest = soonest === null ? expiresAt : Math.min(soonest, expiresAt)
  }
  return soonest
}
