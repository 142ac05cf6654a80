/**
 * Do ephemeral EDUs go now that PDUs or durable EDUs have kept out for too long? Each body may be filled up to the last by these, so that a large one would
 * wait until its time is over.
 *
 * After ten seconds the beginning of the lane gets a body of its own, as much of it as fits; after owed sticky events, and never two in a row.
 */
import { packEdus } from '../../matrix/edus/pack.ts'
import { firstToGo, nothingOf, prefixOf, type SortedLane } from './edu-lanes.ts'
import type { ChosenEdus, EduLimits, EdusToPlan } from './edus-to-plan.ts'
import { hasWaited, notBeforeOf } from './when-edus-go.ts'

/** `together`: what would go otherwise. Null: they are not kept out, or not for long. */
export function keptOutNext(
  durable: SortedLane,
  ephemeral: SortedLane,
  { chosen }: ChosenEdus,
  input: EdusToPlan,
  { maxEdus, maxBytes }: EduLimits,
): ChosenEdus | null {
  const { pdus, lastWasAlone, now } = input
  if (pdus.sticky || lastWasAlone || chosen.ephemeral.parts.length > 0) return null
  const first = firstToGo(ephemeral)
  if (first === null || !hasWaited(first.receivedTs, now)) return null
  const packing = packEdus()
  const own = prefixOf(ephemeral, (part) =>
    packing.join(part, (count) => count.edus <= maxEdus && count.bytes <= maxBytes),
  )
  // What has no place in an empty body either is not kept out.
  if (own.parts.length === 0 || (notBeforeOf(own, ephemeral, input, true) ?? Infinity) > now) return null
  return { chosen: { durable: nothingOf(durable), ephemeral: own }, count: packing.count() }
}
