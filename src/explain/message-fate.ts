/**
 * What became of a to-device message for one destination, worked out from what is stored: the cursor of its lane says what is past, an
 * operator's skips and drops what of that was given up, what is apart that it was refused, and the unanswered transaction what is under way.
 *
 * Pure. No answer says anything of a single EDU, so a message is acknowledged at most, never delivered.
 */
import type { GivenUpRow } from '../store/views/event-facts.ts'
import type { ApartMessage, MessageFacts, MessageRow, MessageSkip } from '../store/views/message-facts.ts'
import { dropped, messageApartFate, skipped } from './apart-fate.ts'
import type { Fate } from './fate.ts'

const nothing = { as: null, txn_id: null, at: null, why: null }

/** What a destination that it is for says of it. */
export interface KnownOfMessage {
  facts: MessageFacts
  skips: readonly MessageSkip[]
  /** It is out of its lane; null: it is not. */
  apart: ApartMessage | null
  /** An operator gave it up while it was; null: none did. */
  givenUp: GivenUpRow | null
}

export function messageFate(
  { pos, expires_at, durable, replaceable }: MessageRow,
  { facts, skips, apart, givenUp }: KnownOfMessage,
  now: number,
): Fate {
  const { txn_id, started_at, edu_positions, durable_pos, ephemeral_pos } = facts
  if (txn_id !== null && edu_positions?.includes(pos) === true) {
    const why = 'it is in a transaction that has not been answered yet'
    return { ...nothing, outcome: 'pending', txn_id, at: started_at, why }
  }
  const cursor = durable ? durable_pos : ephemeral_pos
  const over = expires_at !== null && expires_at <= now
  // Its lane is past it.
  if (apart !== null) {
    if (!over) return messageApartFate(apart)
    return { ...nothing, outcome: 'lapsed', at: expires_at, why: 'it was refused, and its time is over' }
  }
  if (givenUp !== null) return dropped(givenUp, skips)
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
  if (skip !== undefined) return skipped(skip)
  if (!durable || over) return { ...nothing, outcome: 'acknowledged', why: OR_LEFT_OUT }
  if (replaceable) return { ...nothing, outcome: 'acknowledged', why: OR_REPLACED }
  return { ...nothing, outcome: 'acknowledged', why: PAST }
}

const PAST =
  'the transaction with it was answered (which one, and when, is not kept of EDUs); an answer says nothing of single EDUs'
const OR_LEFT_OUT = `${PAST}. It lasts only for a time: if that was over before it was sent, it was left out`
const OR_REPLACED = `${PAST}. If a later one with its key came first, that was sent in its place`
