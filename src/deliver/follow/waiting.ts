/**
 * EDUs that wait for a followed destination: two lists beside that of its events, each in the order of positions. Pure.
 *
 * Always: what a list holds is all of its lane after the lane's beginning, as far as the log was read, but for what a later one replaces. So what is left
 * out or sent of it moves the lane's cursor, and no cursor passes what waits.
 */
import type { EduCursors } from '../../store/delivery/leases.ts'
import { withoutReplaced } from '../rules/coalesce.ts'
import type { OwedEdu, OwedEvent } from './log-ring.ts'

export interface EdusWaiting {
  /** Up to where its timeline was settled before it was followed, and up to where the two lanes of its EDUs. */
  readonly after: number
  readonly durableAfter: number
  readonly ephemeralAfter: number
  /** Events that it is owed, in stream order. */
  waiting: OwedEvent[]
  /** EDUs that it is owed, likewise. */
  durable: OwedEdu[]
  ephemeral: OwedEdu[]
}

/** Durable ones that may wait for one destination here; one with more reads them from its rows. */
const MOST_DURABLE = 1_000
/** Of the others, so many may be different; those that are replaced are taken out when there are twice as many. */
const MOST_EPHEMERAL = 1_500

/** Nothing of any kind is owed to it up to here. */
export const beginningOf = ({ after, durableAfter, ephemeralAfter }: EdusWaiting): number =>
  Math.min(after, durableAfter, ephemeralAfter)

/** `had it`: it was settled before. `too many`: more than are kept here. */
export function giveEdu(to: EdusWaiting, owed: OwedEdu): 'given' | 'had it' | 'too many' {
  const { durable, pos } = owed.edu
  if (pos <= (durable ? to.durableAfter : to.ephemeralAfter)) return 'had it'
  const list = durable ? to.durable : to.ephemeral
  list.push(owed)
  if (durable) return list.length > MOST_DURABLE ? 'too many' : 'given'
  if (list.length <= 2 * MOST_EPHEMERAL) return 'given'
  to.ephemeral = withoutReplaced(list, ({ edu }) => edu)
  return to.ephemeral.length > MOST_EPHEMERAL ? 'too many' : 'given'
}

/** What is up to these cursors waits no more. */
export function passEdus(of: EdusWaiting, { durable, ephemeral }: EduCursors): void {
  of.durable = after(of.durable, durable)
  of.ephemeral = after(of.ephemeral, ephemeral)
}

function after(lane: OwedEdu[], cursor: number): OwedEdu[] {
  if ((lane[0]?.edu.pos ?? Infinity) > cursor) return lane
  if ((lane.at(-1)?.edu.pos ?? 0) <= cursor) return []
  return lane.filter(({ edu }) => edu.pos > cursor)
}

/** Of what waits, what was read first. */
export function oldestOf({ waiting, durable, ephemeral }: EdusWaiting): OwedEvent | OwedEdu | null {
  const oldest = [waiting[0], durable[0], ephemeral[0]].filter((one) => one !== undefined)
  return oldest.toSorted((a, b) => a.readBytes - b.readBytes)[0] ?? null
}

/** What waits is read from the rows. */
export function takeAll(of: EdusWaiting): void {
  of.waiting = []
  of.durable = []
  of.ephemeral = []
}
