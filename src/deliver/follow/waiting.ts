/**
 * EDUs that wait for a followed destination: two lists beside that of its events, each in the order of positions. Pure.
 *
 * Always: what a list holds is all of its lane after the lane's beginning, as far as the log was read, but for what a later one replaces. So what is left
 * out or sent of it moves the lane's cursor, and no cursor passes what waits.
 */
import type { EduCursors } from '../../store/delivery/leases.ts'
import type { LoggedEdu, LoggedEvent } from '../../store/delivery/log-tail.ts'
import { withoutReplaced } from '../rules/coalesce.ts'
import { roomsOf } from './audience.ts'
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

/** Whether it was settled, sent or not, before this destination was followed. */
export const isSettled = (of: EdusWaiting, entry: LoggedEvent | LoggedEdu): boolean =>
  entry.pos <= (entry.kind === 'event' ? of.after : entry.durable ? of.durableAfter : of.ephemeralAfter)

/** `had it`: it was settled before. `too many`: more than are kept here. */
export function giveEdu(to: EdusWaiting, owed: OwedEdu): 'given' | 'had it' | 'too many' {
  if (isSettled(to, owed.edu)) return 'had it'
  const { durable } = owed.edu
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

/** Whether something of the room waits, or of a set with it. */
export const waitsForRoom = ({ waiting, durable, ephemeral }: EdusWaiting, room: number): boolean =>
  waiting.some(({ event }) => event.room === room) ||
  [durable, ephemeral].some((lane) => lane.some(({ edu }) => roomsOf(edu).includes(room)))

/** What waits is read from the rows. */
export function takeAll(of: EdusWaiting): void {
  of.waiting = []
  of.durable = []
  of.ephemeral = []
}
