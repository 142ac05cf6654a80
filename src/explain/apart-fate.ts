/**
 * What became of an event or a to-device message that a destination refused, or of an event whose room waits for such a one (contract 5.9).
 *
 * Pure. Always: it is owed for as long as it is apart, wherever the position is; and of a room that waits, what comes after its cursor is.
 */
import type { ApartFact, GivenUpRow, SkipRow, WaitFact } from '../store/views/event-facts.ts'
import type { ApartMessage } from '../store/views/message-facts.ts'
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
  return { ...nothing, outcome: 'set_aside', as, at: since, why: triedAlone({ tries, next_at, message }) }
}

/** A to-device message out of its lane. Where it is not sure that it is to blame, it only waits; it is tried alone as those that are set aside. */
export function messageApartFate({ since, sure, tries, next_at, message }: ApartMessage): Fate {
  const why = triedAlone({ tries, next_at, message })
  if (sure) return { ...nothing, outcome: 'set_aside', as: null, at: since, why }
  return { ...nothing, outcome: 'pending', as: null, waits: true, why: `${why}; nothing is concluded yet` }
}

function triedAlone({ tries, next_at, message }: Pick<ApartFact, 'tries' | 'next_at' | 'message'>): string {
  const refused = `it was refused${message === null ? '' : ` (${message})`}`
  const often = tries <= 0 ? '' : `, and tried ${tries === 1 ? 'once' : `${tries} times`} since`
  return `${refused}${often}; it is tried alone${nextText(next_at)}`
}

const nextText = (at: number | null): string => (at === null ? '' : `, next at ${time(at)}`)

/** What is pending of a room that waits: it is pending behind the others of it. */
export function behindItsRoom(fate: Fate, { held_since, next_at }: WaitFact): Fate {
  if (held_since === null)
    return { ...fate, waits: true, why: 'its room waits until what was refused of it is found' }
  const why = `its room is held since ${time(held_since)}, because several events of it were refused; they are tried${nextText(next_at)}`
  return { ...fate, outcome: 'held', at: held_since, why }
}

/** An operator dropped it, or skipped it with all that was owed then: such a note has name and time of its skip. */
export function dropped({ who, at }: GivenUpRow, skips: readonly Skip[]): Fate {
  const skip = skips.find((one) => one.who === who && one.at === at)
  if (skip !== undefined) return skipped(skip)
  const why = `it was refused and set aside, and an operator (${who}) gave it up`
  return { ...nothing, outcome: 'given_up', as: null, at, why }
}

type Skip = Pick<SkipRow, 'who' | 'upto' | 'at'>

export const skipped = ({ who, upto, at }: Skip): Fate => ({
  ...{ ...nothing, outcome: 'skipped', as: null, at },
  why: `an operator (${who}) gave up what was owed up to ${upto}`,
})
