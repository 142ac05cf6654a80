/**
 * What became of a to-device message for one destination, worked out from what is stored: the cursor of its lane says what is past, an
 * operator's skips what of that was given up, and the unanswered transaction what is under way.
 *
 * Pure. No answer says anything of a single EDU, so a message is acknowledged at most, never delivered.
 */
import type { MessageFacts, MessageRow, MessageSkip } from '../store/views/message-facts.ts'
import type { Fate } from './fate.ts'

const nothing = { as: null, txn_id: null, at: null, why: null }

/** `facts`: of a destination that it is for. */
export function messageFate(
  { pos, expires_at, durable, replaceable }: MessageRow,
  { facts, skips }: { facts: MessageFacts; skips: readonly MessageSkip[] },
  now: number,
): Fate {
  const { txn_id, started_at, edu_positions, durable_pos, ephemeral_pos } = facts
  if (txn_id !== null && edu_positions?.includes(pos) === true) {
    const why = 'it is in a transaction that has not been answered yet'
    return { ...nothing, outcome: 'pending', txn_id, at: started_at, why }
  }
  const cursor = durable ? durable_pos : ephemeral_pos
  const over = expires_at !== null && expires_at <= now
  if (pos > cursor) {
    if (over)
      return { ...nothing, outcome: 'lapsed', at: expires_at, why: 'its time was over before it was sent' }
    return {
      ...nothing,
      outcome: 'pending',
      why: `it has every such EDU up to ${cursor}; this one is ${pos}`,
    }
  }
  // Of those that are not durable a skip says nothing more than their cursor.
  const skip = durable
    ? skips.find((one) => pos > (one.durable_from ?? Infinity) && pos <= one.upto)
    : undefined
  if (skip !== undefined) {
    const why = `an operator (${skip.who}) gave up what was owed up to ${skip.upto}`
    return { ...nothing, outcome: 'skipped', at: skip.at, why }
  }
  if (!durable || over) return { ...nothing, outcome: 'acknowledged', why: OR_LEFT_OUT }
  if (replaceable) return { ...nothing, outcome: 'acknowledged', why: OR_REPLACED }
  return { ...nothing, outcome: 'acknowledged', why: PAST }
}

const PAST = 'the transaction with it was answered; an answer says nothing of single EDUs'
const OR_LEFT_OUT = `${PAST}. It lasts only for a time: if that was over before it was sent, it was left out`
const OR_REPLACED = `${PAST}. If a later one with its key came first, that was sent in its place`
