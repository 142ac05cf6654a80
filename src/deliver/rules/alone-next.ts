/**
 * Does an EDU go now that has a transaction to itself (MSC4514)? One with more than 65,536 bytes, or too large for what its lane has of a body.
 *
 * It goes when it is the first of its lane, after owed sticky events, and never two in a row while something else could go: one such and one other
 * transaction take turns.
 */
import { packEdus } from '../../matrix/edus/pack.ts'
import { firstToGo, nothingOf, type EduWithText, type SortedLane } from './edu-lanes.ts'
import type { ChosenEdus, EduLimits, EdusToPlan, Prefix } from './edus-to-plan.ts'
import { notBeforeOf } from './when-edus-go.ts'

/** `together`: what would go otherwise. Null: nothing goes alone now. */
export function aloneNext(
  durable: SortedLane,
  ephemeral: SortedLane,
  { chosen }: ChosenEdus,
  input: EdusToPlan,
  { maxBytes }: EduLimits,
): ChosenEdus | null {
  const { pdus, lastWasAlone, now } = input
  if (pdus.sticky) return null
  const isDue = (prefix: Prefix, isAlone: boolean) =>
    (notBeforeOf(prefix, ephemeral, input, isAlone) ?? Infinity) <= now

  const ofDurable = tooLarge(durable, pdus.wait ? Math.floor(maxBytes / 2) : maxBytes)
  const ofEphemeral = tooLarge(ephemeral, maxBytes)
  const ephemeralFirst = ofEphemeral === null ? null : only(ofEphemeral)

  const durableWaits = lastWasAlone && (pdus.wait || isDue(chosen.ephemeral, false))
  const ephemeralIsNext = lastWasAlone && ephemeralFirst !== null && isDue(ephemeralFirst, true)
  if (ofDurable !== null && !durableWaits && !ephemeralIsNext)
    return {
      chosen: { durable: only(ofDurable), ephemeral: nothingOf(ephemeral) },
      count: countOf(ofDurable),
    }

  if (ofEphemeral === null || ephemeralFirst === null) return null
  const others = pdus.wait || chosen.durable.parts.length > 0
  if (others && (lastWasAlone || !isDue(ephemeralFirst, true))) return null
  return { chosen: { durable: nothingOf(durable), ephemeral: ephemeralFirst }, count: countOf(ofEphemeral) }
}

function tooLarge(lane: SortedLane, bytes: number): EduWithText | null {
  const first = firstToGo(lane)
  return first !== null && (first.alone || countOf(first).bytes > bytes) ? first : null
}

function countOf(part: EduWithText) {
  const packing = packEdus()
  packing.join(part)
  return packing.count()
}

const only = (part: EduWithText): Prefix => ({ parts: [part], cursor: part.pos, stopped: true })
