/**
 * Sticky events that a join or a gap owes (MSC4354). They come first, as they have a deadline: while ordinary events wait too, they
 * have four places in five; while a gap is open, all of them.
 */
import { readOwedSticky } from '../../store/delivery/sticky-lane.ts'
import {
  NO_ITEMS,
  NOTHING,
  ONE,
  type Items,
  type Lane,
  type StickyCursor,
  type Reading,
  type Space,
} from './lane.ts'

/** Places that sticky replays have at least while other PDUs wait too (contract 5.7). */
const STICKY_SHARE = 0.8

export const replays: Lane = {
  name: 'replays',
  owes: async (db, id, { now, owed }) =>
    owed.length > 0 && (await readOwedSticky(db, id, now, ONE)).pdus.length > 0,
  read: async (db, id, { now, owed }, most) =>
    owed.length === 0 ? NO_ITEMS : readOwedSticky(db, id, now, most),
  offer(reading, space) {
    if (reading.items['replays'] === undefined) return NOTHING
    const through = giveSticky(reading, space, liveOf(reading, 'replays'))
    return { sticky: movedRows(reading.owed, through) }
  },
}

/** Whether replays are owed beyond those that have a place. */
export const replaysLeft = (reading: Reading, space: Space): boolean =>
  reading.items['replays']?.all === false || liveOf(reading, 'replays').some(({ pos }) => !space.has(pos))

/** What has not lapsed of a lane. */
export const liveOf = ({ items, now }: Reading, name: string): Items['pdus'] =>
  (items[name] ?? NO_ITEMS).pdus.filter(({ expiresAt }) => expiresAt !== undefined && now < expiresAt)

/** Gives replays the places that are theirs. Returns the position of the last that went; 0: none. */
export function giveSticky(reading: Reading, space: Space, live: Items['pdus']): number {
  if (live.length === 0) return 0
  const places = othersWait(reading) ? Math.ceil(space.maxPdus * STICKY_SHARE) : space.maxPdus
  let through = 0
  for (const pdu of live) {
    if (space.taken() >= places || !space.give(pdu, 's')) break
    through = pdu.pos
  }
  return through
}

/** Whether something of the timeline waits that is not a replay. */
function othersWait(reading: Reading): boolean {
  if (reading.gap !== null) return false
  const all = new Set([...liveOf(reading, 'replays'), ...liveOf(reading, 'unlisted')].map(({ pos }) => pos))
  return (reading.items['timeline'] ?? NO_ITEMS).pdus.some(({ pos }) => !all.has(pos))
}

/** The `sticky_owed` rows whose cursor moves when replays up to `through` are sent. */
function movedRows(owed: readonly StickyCursor[], through: number): StickyCursor[] {
  return owed
    .map((row) => ({ ...row, cursor: Math.max(row.cursor, Math.min(through, row.upto ?? through)) }))
    .filter((row, index) => row.cursor > (owed[index]?.cursor ?? 0))
}
