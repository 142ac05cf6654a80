/**
 * Who is in which room, or in which set of rooms? For the rooms in which something is said: the members of a room are read once, and the changes that the log
 * brings keep them right. So to begin to follow a destination costs nothing for the rooms it is in. Pure: no I/O.
 *
 * Always: asked only for positions in (`from`, `upto`] of the log that was read. A membership is an interval of positions, so what is
 * read later than a position still says who was there.
 */
import type { RoomMembers } from '../../store/delivery/follow-flag.ts'
import { takesOneText, type LoggedChange, type LogEntry } from '../../store/delivery/log-tail.ts'

export interface Audience {
  /** The rooms of these entries of which the members are not known. */
  missing(entries: Iterable<LogEntry>): number[]
  /** Those of these rooms. */
  missingOf(rooms: readonly number[]): number[]
  /** Memberships of rooms, as far as they were at `upto`, up to which the log was read; positions after `from` will be asked for. */
  learn(rooms: readonly RoomMembers[], range: { from: number; upto: number }): void
  /** Those of `them` that were in the room at that position. */
  of<D>(room: number, pos: number, them: ReadonlyMap<number, D>): D[]
  /** Those that were in one of the rooms of a set, each once. */
  ofSet<D>(set: RoomSet, pos: number, them: ReadonlyMap<number, D>): Set<D>
  /** Whether the members of a room are known. */
  knows(room: number): boolean
  has(room: number, destination: number, pos: number): boolean
  /** Whether it was in the room at any position that can be asked for. */
  mayHave(room: number, destination: number): boolean
  apply(change: LoggedChange): void
  /** Everything must be learnt again. */
  forget(): void
  /** Keeps no more than it may: what goes is read again when it is asked for. Call it when nothing is being asked. */
  trim(): void
}

/** A set of rooms; what it holds never changes under its `id`. */
export interface RoomSet {
  readonly id: number
  readonly rooms: readonly number[]
}

interface Stretch {
  since: number
  until: number
}

interface Room {
  /** In the room at every position that can be asked for; sorted. */
  always: Int32Array
  /** The others, and those that changed since. */
  odd: Map<number, Stretch[]>
  /** Up to where `learn` has seen the changes. */
  upto: number
  /** The sets of rooms whose members were put together with its own. */
  sets: Set<number>
}

/** The members of a set of rooms, put together once for all EDUs of that set, until one of its rooms changes. */
interface MembersOfSet {
  always: readonly number[]
  /** Of its rooms those with others. */
  odd: readonly number[]
}

/** Memberships that are kept, 4 bytes each. */
const MOST = 2_000_000
/** A room in which this many members have changed since they were read is read again. */
const MOST_ODD = 1_000

export function makeAudience(most = MOST): Audience {
  const rooms = new Map<number, Room>()
  const sets = new Map<number, MembersOfSet>()
  let size = 0

  function drop(number: number): void {
    const room = rooms.get(number)
    if (room === undefined) return
    forgetSetsOf(room)
    rooms.delete(number)
    size -= room.always.length
  }

  function forgetSetsOf(room: Room): void {
    for (const id of room.sets) {
      size -= sets.get(id)?.always.length ?? 0
      sets.delete(id)
    }
    room.sets.clear()
  }

  function membersOfSet(set: RoomSet): MembersOfSet {
    const known = sets.get(set.id)
    if (known !== undefined) return known
    const always = new Set<number>()
    const odd: number[] = []
    for (const number of set.rooms) {
      const room = rooms.get(number)
      if (room === undefined) continue
      for (const id of room.always) if (!room.odd.has(id)) always.add(id)
      if (room.odd.size > 0) odd.push(number)
      room.sets.add(set.id)
    }
    const members = { always: [...always], odd }
    sets.set(set.id, members)
    size += members.always.length
    return members
  }

  function of<D>(number: number, pos: number, them: ReadonlyMap<number, D>): D[] {
    const room = rooms.get(number)
    if (room === undefined) return []
    const found = []
    if (room.always.length + room.odd.size > them.size) {
      for (const [id, one] of them) if (isIn(room, id, pos)) found.push(one)
      return found
    }
    for (const id of room.always) {
      const one = them.get(id)
      if (one !== undefined && (room.odd.size === 0 || !room.odd.has(id))) found.push(one)
    }
    for (const [id, stretches] of room.odd) {
      const one = them.get(id)
      if (one !== undefined && covers(stretches, pos)) found.push(one)
    }
    return found
  }

  function ofSet<D>(set: RoomSet, pos: number, them: ReadonlyMap<number, D>): Set<D> {
    const { always, odd } = membersOfSet(set)
    const found = new Set<D>()
    const add = (id: number) => {
      const one = them.get(id)
      if (one !== undefined) found.add(one)
    }
    for (const id of always) add(id)
    for (const number of odd)
      for (const [id, stretches] of rooms.get(number)?.odd ?? []) if (covers(stretches, pos)) add(id)
    return found
  }

  return {
    missing(entries) {
      const found = new Set<number>()
      for (const entry of entries) {
        for (const room of roomsOf(entry)) if (!rooms.has(room)) found.add(room)
      }
      return [...found]
    },
    missingOf: (them) => them.filter((room) => !rooms.has(room)),
    learn(them, { from, upto }) {
      for (const { room: number, destination, since, until } of them) {
        drop(number)
        const always: number[] = []
        const odd = new Map<number, Stretch[]>()
        for (const [i, id] of destination.entries()) {
          const stretch = { since: since[i] ?? 0, until: until[i] ?? 0 }
          // What came later the log will tell, or it never came: the database may have failed over since.
          if (stretch.since > upto) continue
          if (stretch.until > upto) stretch.until = Infinity
          if (stretch.since <= from && stretch.until === Infinity) always.push(id)
          else odd.set(id, [...(odd.get(id) ?? []), stretch])
        }
        rooms.set(number, { always: Int32Array.from(always).sort(), odd, upto, sets: new Set() })
        size += always.length
      }
    },
    of,
    ofSet,
    knows: (number) => rooms.has(number),
    has(number, destination, pos) {
      const room = rooms.get(number)
      return room !== undefined && isIn(room, destination, pos)
    },
    mayHave(number, destination) {
      const room = rooms.get(number)
      return room !== undefined && (room.odd.has(destination) || isAlways(room, destination))
    },
    apply(change) {
      const { what, pos, room: number, added, removed } = change
      const room = rooms.get(number ?? -1)
      if (takesOneText(change)) return
      if (what !== 'servers') {
        if (what === 'purge' && number !== null) drop(number)
        else this.forget()
        return
      }
      if (room === undefined || pos <= room.upto) return
      forgetSetsOf(room)
      for (const id of removed) {
        const stretches = stretchesOf(room, id)
        for (const stretch of stretches) if (stretch.since < pos) stretch.until = Math.min(stretch.until, pos)
        room.odd.set(id, stretches)
      }
      for (const id of added) room.odd.set(id, [...stretchesOf(room, id), { since: pos, until: Infinity }])
    },
    forget() {
      rooms.clear()
      sets.clear()
      size = 0
    },
    trim() {
      for (const [number, { odd }] of rooms) if (odd.size > MOST_ODD) drop(number)
      for (const number of rooms.keys()) {
        if (size <= most) break
        drop(number)
      }
    },
  }
}

/** The rooms whose members get it. */
export function roomsOf(entry: LogEntry): readonly number[] {
  if (entry.kind === 'change') return []
  if (entry.kind === 'event') return entry.addressed?.exact === true ? [] : [entry.room]
  const { to } = entry
  return 'rooms' in to ? to.rooms : 'room' in to ? [to.room] : []
}

const covers = (stretches: readonly Stretch[], pos: number): boolean =>
  stretches.some(({ since, until }) => since < pos && pos <= until)

const isIn = (room: Room, id: number, pos: number): boolean => {
  const odd = room.odd.get(id)
  return odd === undefined ? isAlways(room, id) : covers(odd, pos)
}

function stretchesOf(room: Room, id: number): Stretch[] {
  const odd = room.odd.get(id)
  if (odd !== undefined) return odd
  return isAlways(room, id) ? [{ since: 0, until: Infinity }] : []
}

function isAlways({ always }: Room, id: number): boolean {
  let low = 0
  let high = always.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((always[middle] ?? 0) < id) low = middle + 1
    else high = middle
  }
  return always[low] === id
}
