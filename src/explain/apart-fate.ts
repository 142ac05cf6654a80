/**
 * What became of an event that a destination refused, or whose room waits for such a one (contract 5.9).
 *
 * Pure. Always: it is owed for as long as it is apart, wherever the position is; and of a room that waits, what comes after its cursor is.
 */
import type { ApartFact, GivenUpRow, WaitFact } from '../store/views/event-facts.ts'
import type { Fate } from './fate.ts'

const nothing = { as: null, txn_id: null, at: null }
const time = (ms: number) => new Date(ms).toISOString()

/** It was set aside, or is among those that are searched. `as`: its lane. `held`: of its room; null: that is not held. */
export function apartFate(
  { grp, since, tries, next_at, message }: ApartFact,
  as: Fate['as'],
  held: WaitFact | null,
): Fate {
  if (grp !== null) {
    const why = 'its room waits for what was refused; what is left of it is sent in parts, the oldest first'
    return { ...nothing, outcome: 'pending', as, why }
  }
  if (next_at === null && held !== null) {
    // Taken out when the log went on without the room.
    if (message === null) return behindItsRoom({ ...nothing, outcome: 'pending', as, why: null }, held)
    const why = `it was refused (${message}), as others of its room; they are tried together${nextText(held.next_at)}`
    return { ...nothing, outcome: 'set_aside', as, at: since, why }
  }
  const refused = `it was refused${message === null ? '' : ` (${message})`}`
  const often = tries <= 0 ? '' : `, and tried ${tries === 1 ? 'once' : `${tries} times`} since`
  const why = `${refused}${often}; it is tried alone${nextText(next_at)}`
  return { ...nothing, outcome: 'set_aside', as, at: since, why }
}

const nextText = (at: number | null): string => (at === null ? '' : `, next at ${time(at)}`)

/** What is pending of a room that waits: it is pending behind the others of it. */
export function behindItsRoom(fate: Fate, { held_since, next_at }: WaitFact): Fate {
  if (held_since === null)
    return { ...fate, waits: true, why: 'its room waits until what was refused of it is found' }
  const why = `its room is held since ${time(held_since)}, because several events of it were refused; they are tried${nextText(next_at)}`
  return { ...fate, outcome: 'held', at: held_since, why }
}

export const dropped = ({ who, at }: GivenUpRow): Fate => ({
  ...{ ...nothing, outcome: 'given_up', at },
  why: `it was refused and set aside, and an operator (${who}) gave it up`,
})
