/**
 * Which EDUs go into the next transaction? Pure: what was read of both lanes in, a plan out; the same in, the same out.
 *
 * What is left out is decided first (`coalesce.ts`), then each lane gives a beginning of what is left, durable ones first, and what one transaction holds is
 * counted as it is packed.
 * Always: at most `maxEdus`; a cursor passes what was chosen and what was left out, nothing else; what is for a transaction of its own shares it with nothing,
 * except that any single one may be larger than the body. Neither lane takes all places from the other: the ephemeral one has a fifth of places and bytes while
 * durable ones wait, and no more; what of it is kept out for ten seconds gets a body of its own in turn (`kept-out.ts`).
 */
import { packEdus, type EduCount } from '../../matrix/edus/pack.ts'
import type { StoredEdu } from '../../store/delivery/edus.ts'
import { aloneNext } from './alone-next.ts'
import { firstToGo, prefixOf, sortOut, type LeftOutEdus, type SortedLane } from './edu-lanes.ts'
import type { ChosenEdus, EduLimits, EdusToPlan } from './edus-to-plan.ts'
import { keptOutNext } from './kept-out.ts'
import { notBeforeOf } from './when-edus-go.ts'

export interface EduPlan {
  /** What goes, each lane in the order of positions. They are packed durable ones first. */
  readonly durable: readonly StoredEdu[]
  readonly ephemeral: readonly StoredEdu[]
  /** As packed. */
  readonly edus: number
  readonly bytes: number
  /** The cursors after an answer; where nothing goes, at once. */
  readonly cursors: { readonly durable: number; readonly ephemeral: number }
  /** What the cursors pass without sending it. */
  readonly leftOut: readonly LeftOutEdus[]
  /** What goes must have the transaction to itself: no PDU goes with it. */
  readonly alone: boolean
  /** Before this it must not go without a PDU; null: it may. Then no cursor moves, and it is planned again. */
  readonly notBefore: number | null
}

const fifth = (n: number): number => Math.floor(n / 5)

export function planEdus(input: EdusToPlan, limits: EduLimits): EduPlan {
  const durable = sortOut(input.durable, input)
  const ephemeral = sortOut(input.ephemeral, input, input.longOutage ? input.head : null)
  const together = planTogether(durable, ephemeral, input, limits)
  const alone =
    limits.maxEdus > 0
      ? (aloneNext(durable, ephemeral, together, input, limits) ??
        keptOutNext(durable, ephemeral, together, input, limits))
      : null
  const { chosen, count } = alone ?? together
  const notBefore =
    chosen.durable.parts.length > 0 ? null : notBeforeOf(chosen.ephemeral, ephemeral, input, alone !== null)
  return {
    durable: chosen.durable.parts,
    ephemeral: chosen.ephemeral.parts,
    edus: count.edus,
    bytes: count.bytes,
    cursors: { durable: chosen.durable.cursor, ephemeral: chosen.ephemeral.cursor },
    // Asked for by few.
    get leftOut() {
      return [
        ...durable.leftOutUpTo(chosen.durable.cursor),
        ...ephemeral.leftOutUpTo(chosen.ephemeral.cursor),
      ]
    },
    alone: alone !== null,
    notBefore: notBefore !== null && notBefore > input.now ? notBefore : null,
  }
}

/** Everything but what is alone. */
function planTogether(
  durable: SortedLane,
  ephemeral: SortedLane,
  { pdus, durable: { upto }, head }: EdusToPlan,
  { maxEdus, maxBytes }: EduLimits,
): ChosenEdus {
  const ofFew = { maxEdus: fifth(maxEdus), maxBytes: fifth(maxBytes) }
  const kept = firstToGo(durable) === null ? NOTHING_KEPT : keptFor(ephemeral, ofFew)
  const packing = packEdus()
  const left = Math.min(pdus.bytesLeft, maxBytes)
  const bytes = pdus.wait ? Math.min(left, Math.floor(maxBytes / 2)) : left
  const ofDurable = prefixOf(durable, (part, isFirst) =>
    packing.join(
      part,
      (count) => count.edus <= maxEdus - kept.edus && count.bytes <= (isFirst ? bytes : bytes - kept.bytes),
    ),
  )
  const places = ofDurable.stopped || upto < head ? packing.count().edus + fifth(maxEdus) : maxEdus
  const ofEphemeral = prefixOf(ephemeral, (part) =>
    packing.join(part, (count) => count.edus <= Math.min(places, maxEdus) && count.bytes <= left),
  )
  return { chosen: { durable: ofDurable, ephemeral: ofEphemeral }, count: packing.count() }
}

/** Of a lane without durable ones nothing need be kept. */
const NOTHING_KEPT = { edus: 0, bytes: 0 }

/** What of the transaction is not for durable ones, whatever waits of them. */
function keptFor(ephemeral: SortedLane, { maxEdus, maxBytes }: EduLimits): EduCount {
  const packing = packEdus()
  prefixOf(ephemeral, (part) =>
    packing.join(part, (count) => count.edus <= maxEdus && count.bytes <= maxBytes),
  )
  const { edus, bytes } = packing.count()
  return { edus, bytes: edus === 0 ? 0 : bytes + 1 }
}
