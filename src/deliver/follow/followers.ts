/**
 * Which of the destinations that this process follows gets which new item? The log's entries go through here once, in
 * the order of their positions; each event and each EDU is put before those that are entitled to it at its position. Pure: no I/O.
 *
 * Always: what is not certain here makes the holder look at the rows again (`look`), it is never guessed: a join (which
 * may owe sticky events), an event that goes in a transaction of its own, a text that was taken away while it waited, an entry of a kind that this release does
 * not know, more waiting than is kept. Where the log is not what was read of it before (the database failed over to an
 * older state, and may have grown past our place since), everything that was read is forgotten and every holder looks.
 */
import {
  markOf,
  takesOneText,
  type LoggedChange,
  type LoggedEdu,
  type LoggedEvent,
  type LogRead,
  type EntryMark,
} from '../../store/delivery/log-tail.ts'
import type { RoomMembers } from '../../store/delivery/follow-flag.ts'
import { makeAudience, roomsOf } from './audience.ts'
import { makeEntitled, soleRoomOf } from './entitled.ts'
import { makeRecentEntries, type OwedEvent, type RecentEntry } from './log-ring.ts'
import {
  beginningOf,
  giveEdu,
  isSettled,
  oldestOf,
  takeAll,
  waitsForRoom,
  type EdusWaiting,
} from './waiting.ts'

export interface Followed extends EdusWaiting {
  id: number
  /** The holder must look at the rows. */
  look: boolean
}

export interface Followers<F extends Followed> {
  /** Up to where the log has been read. */
  upto(): number
  size(): number
  all(): Iterable<F>
  /** Whether what the log brought since `after` to this destination is known, or can be. */
  knowsSince(after: number, id: number): boolean
  /** The rooms of which the members must be learnt before `read` is taken. */
  missing(read: LogRead): number[]
  /** The same for a destination that is added and is owed nothing of any kind up to `after`. */
  missingSince(after: number): number[]
  /**
   * What was missing, read when the log was known from `from` to `upto` (with `missing`: up to the end of that read). Does nothing where
   * it has moved past that meanwhile: changes would be missed.
   */
  learn(rooms: readonly RoomMembers[], range: { from: number; upto: number }): void
  /** After this position it may be asked who was in a room. */
  from(): number
  /**
   * Replaces an entry with the same id. False if the log since where it stands is no longer known, or the members of a room that had an event since: it can't
   * be followed from there.
   */
  add(followed: F): boolean
  /** Does nothing where another has come in its place. */
  remove(followed: F): void
  /** What a read brought. Returns the destinations that have something to send now, or something to look at. */
  take(read: LogRead, now: number): Set<F>
}

/** Events that may wait for one destination here; a destination with more reads it from the log, in windows. */
const MOST_WAITING = 1_000
/**
 * Bytes of texts that may be read while an event waits; then its destination must look, and reads its own. They share the texts, so this, and
 * what is read at once, is the most that all of them keep.
 */
const MOST_BEHIND_BYTES = 32_000_000

export function makeFollowers<F extends Followed>(): Followers<F> {
  const byId = new Map<number, F>()
  const audience = makeAudience()
  const { entitled, isEntitled } = makeEntitled(byId, audience)
  // Entries up to `upto`.
  const recent = makeRecentEntries()
  // Up to where the log says too little of a destination (`lookFromRows`).
  const blindAt = new Map<number, number>()
  let upto = 0
  let checkedAt = 0
  // The newest entry up to `upto`; null: there is none; undefined: not known.
  let last: EntryMark | null | undefined

  function give(followed: F, owed: OwedEvent): boolean {
    if (isSettled(followed, owed.event) || followed.look) return false
    if (owed.event.odd === true || followed.waiting.length >= MOST_WAITING) mustLook(followed)
    else followed.waiting.push(owed)
    return true
  }

  function mustLook(followed: F): void {
    followed.look = true
    takeAll(followed)
  }

  /** Up to `pos` the log says too little of it, and would say no more if it were read again. */
  function lookFromRows(followed: F, pos: number): void {
    mustLook(followed)
    blindAt.set(followed.id, pos)
  }

  /** Gives one entry to those that are entitled to it. */
  function apply({ entry, owed }: RecentEntry, touched: Set<F>): void {
    if (entry.kind === 'change') {
      applyChange(entry, touched)
      return
    }
    // The room was purged and used again within one read: only the rows know which servers are in it.
    if (roomsOf(entry).some((room) => !audience.knows(room))) {
      for (const followed of byId.values()) {
        if (isSettled(followed, entry)) continue
        lookFromRows(followed, entry.pos)
        touched.add(followed)
      }
      return
    }
    for (const followed of entitled(entry)) if (giveEither(followed, owed)) touched.add(followed)
  }

  /** Whether it concerns it: it waits now, or its rows must be looked at. */
  function giveEither(followed: F, owed: RecentEntry['owed']): boolean {
    if (owed === null || followed.look) return false
    if ('event' in owed) return give(followed, owed)
    const given = giveEdu(followed, owed)
    if (given === 'too many') lookFromRows(followed, owed.edu.pos)
    return given !== 'had it'
  }

  /** Gives one that is added what came after its beginning. Of each room it is asked once whether it was ever in it: most entries are of others. */
  function giveLater(followed: F, after: number): void {
    const { id } = followed
    const its = new Set(recent.roomsSince(after).filter((room) => audience.mayHave(room, id)))
    const concerns = (entry: LoggedEvent | LoggedEdu): boolean => {
      const room = soleRoomOf(entry)
      return (room === null || its.has(room)) && isEntitled(followed, entry)
    }
    for (const { entry, owed } of recent.since(after)) {
      if (entry.kind === 'change') applyChange(entry, new Set(), followed)
      else if (concerns(entry)) giveEither(followed, owed)
    }
  }

  function applyChange(change: LoggedChange, touched: Set<F>, only: F | null = null): void {
    const look = (followed: F, { evenIfSettled = false } = {}) => {
      if (change.pos <= followed.after && !evenIfSettled) return
      mustLook(followed)
      touched.add(followed)
    }
    if (change.what === 'servers') {
      for (const id of change.added) {
        const followed = only === null || only.id === id ? byId.get(id) : undefined
        if (followed !== undefined) look(followed)
      }
      return
    }
    for (const followed of only === null ? byId.values() : [only]) {
      if (takesOneText(change) && !followed.waiting.some(({ event }) => event.pos === change.target)) continue
      const room = change.room ?? 0
      // An EDU may wait in a lane that is far behind that of the events.
      const waits = change.what === 'purge' && waitsForRoom(followed, room)
      if (change.what === 'purge' && !waits && !audience.has(room, followed.id, change.pos)) continue
      look(followed, { evenIfSettled: waits })
    }
  }

  /** A text that was taken away is given to no destination that is added later. */
  function forget(change: LoggedChange): void {
    const { what, pos, target, room } = change
    if (what === 'servers') return
    const ofOne = takesOneText(change)
    const known = ofOne || what === 'purge'
    const goes = (entry: LoggedEvent | LoggedEdu) => {
      if (ofOne) return entry.pos === target
      return entry.kind === 'event' ? entry.room === room : roomsOf(entry).includes(room ?? 0)
    }
    if (!known || recent.has(goes)) recent.empty(pos)
  }

  /** Whether the database failed over, so that the log differs from what was read. */
  function isAnother({ after, place, upto: end }: LogRead): boolean {
    if (end < after) return true
    if (after !== upto || last === undefined) return false
    return place?.pos !== last?.pos || place?.what !== last?.what
  }

  function forgetAll(at: number, touched: Set<F>): void {
    for (const followed of byId.values()) {
      mustLook(followed)
      touched.add(followed)
    }
    recent.empty(at)
    audience.forget()
    blindAt.clear()
    upto = at
  }

  function remove(followed: F): void {
    if (byId.get(followed.id) === followed) byId.delete(followed.id)
  }

  /** Those that keep texts which are too far back. */
  function leaveBehind(touched: Set<F>): void {
    const readBytes = recent.readBytes()
    if (readBytes - checkedAt < MOST_BEHIND_BYTES / 8) return
    checkedAt = readBytes
    for (const followed of byId.values()) {
      const oldest = oldestOf(followed)
      if (oldest === null || readBytes - oldest.readBytes <= MOST_BEHIND_BYTES) continue
      mustLook(followed)
      touched.add(followed)
    }
  }

  const isKnown = (after: number, id: number): boolean => after >= (blindAt.get(id) ?? 0)

  const missingSince = (after: number): number[] => audience.missingOf(recent.roomsSince(after))

  return {
    upto: () => upto,
    size: () => byId.size,
    all: () => byId.values(),
    knowsSince: (after, id) => isKnown(after, id) && (byId.size === 0 || after >= recent.from()),
    missing: ({ entries }) => audience.missing(entries),
    missingSince: (after) => (byId.size === 0 ? [] : missingSince(after)),
    learn: (rooms, range) => {
      if (range.from <= recent.from() && range.upto >= upto) audience.learn(rooms, range)
    },
    from: () => recent.from(),
    add(followed) {
      const before = byId.get(followed.id)
      if (before !== undefined) remove(before)
      const after = beginningOf(followed)
      if (!isKnown(after, followed.id)) return false
      blindAt.delete(followed.id)
      // Nothing was read while no destination was followed.
      if (byId.size === 0) {
        recent.empty(after)
        audience.forget()
        upto = after
        last = undefined
      }
      if (after < recent.from()) return false
      if (missingSince(after).length > 0) return false
      byId.set(followed.id, followed)
      giveLater(followed, after)
      return true
    },
    remove,
    take(read, now) {
      const touched = new Set<F>()
      // The read began after the position of a destination that was added meanwhile: it would leave a hole.
      if (read.after > upto) return touched
      const end = read.entries.at(-1)
      const place = end === undefined ? read.place : markOf(end)
      if (isAnother(read)) {
        forgetAll(read.upto, touched)
        last = place
        return touched
      }
      for (const entry of read.entries) {
        if (entry.pos <= upto) continue
        apply(recent.add(entry, now), touched)
        if (entry.kind === 'change') {
          audience.apply(entry)
          forget(entry)
        }
      }
      if (read.upto >= upto) last = place
      upto = Math.max(upto, read.upto)
      recent.trim()
      audience.trim()
      leaveBehind(touched)
      return touched
    },
  }
}
