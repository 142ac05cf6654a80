/**
 * Which PDUs does a destination refuse? (contract 5.9) Pure: the decisions of a search, and what becomes of what it finds.
 *
 * What was refused is taken out of its lanes and sent in halves, the oldest first. A half that is answered 200 is done; one that is refused
 * is halved again. What was refused alone is set aside, if the destination takes other things: since the search began it answered 200 to
 * another transaction, and after this refusal to an empty one. Else nothing is concluded: the others go first next time. A gateway that refuses
 * says little of what was sent: what it refused alone keeps its place, and only the third such refusal counts.
 *
 * Always: whatever is concluded, each PDU that is apart stays a row until the destination has taken it, an operator drops it or it is too old.
 */
import { NO_SUSPECT, type ApartRow, type RoomRow } from '../../store/delivery/apart.ts'
import type { Isolation, Searching } from '../../store/isolation.ts'
import { isOfGateway } from './isolation.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000
const DAY_MS = 86_400_000
/** The first wait of what is set aside, and the longest, ms. */
const ASIDE_MS = 15 * MINUTE_MS
const STICKY_MS = 30_000
const LONGEST_STICKY_MS = 5 * MINUTE_MS
/** A sticky event is tried for the last time so long before it lapses, ms. */
const LAST_TRY_MS = 15_000
/** So often a gateway has to refuse a PDU alone. */
const OF_A_GATEWAY = 3
/** So many PDUs of a room that are set aside within an hour hold the room. */
const HOLDS_A_ROOM = 3

/** What a conclusion changes. */
export interface Sorted {
  apart: { pos: number; grp: number | null; since: number; tries: number; nextAt: number | null }[]
  /** Rooms that are held from now on, or tried again. */
  rooms: { room: number; heldSince: number; tries: number; nextAt: number }[]
  search: Searching | null
  /** Nothing is sent before the backoff is over: it refuses all but the empty one. */
  backsOff: boolean
  /** What was found, for the log. */
  found: { setAside: number[]; held: number[] }
}

/** It was in a transaction that was refused: else it is searched only in that it goes in the same way. */
export const isSuspect = ({ tries }: Pick<ApartRow, 'tries'>): boolean => tries > NO_SUSPECT

const isSticky = ({ expiresAt }: ApartRow, now: number): boolean => expiresAt !== null && expiresAt > now

/** When what was tried alone so often is tried next, ms since the epoch. */
export function nextTry(row: ApartRow, tries: number, now: number): number {
  const { expiresAt } = row
  if (expiresAt === null || !isSticky(row, now)) return now + Math.min(DAY_MS, ASIDE_MS * 2 ** tries)
  const at = now + Math.min(LONGEST_STICKY_MS, STICKY_MS * 2 ** tries)
  const last = expiresAt - LAST_TRY_MS
  // After the last try it is an ordinary event.
  if (at > last) return last > now ? last : now + ASIDE_MS
  return at
}

/** The halves in their order; each in the order of the stream. */
export function groupsOf(rows: readonly ApartRow[]): ApartRow[][] {
  const groups = new Map<number, ApartRow[]>()
  for (const row of rows) if (row.grp !== null) groups.set(row.grp, [...(groups.get(row.grp) ?? []), row])
  return [...groups].sort(([a], [b]) => a - b).map(([, group]) => group.sort((a, b) => a.pos - b.pos))
}

/** The rows of groups in a new order, as far as they change. */
function numbered(groups: readonly (readonly ApartRow[])[]): Sorted['apart'] {
  return groups.flatMap((group, i) =>
    group
      .filter(({ grp }) => grp !== i + 1)
      .map(({ pos, since, tries }) => ({ pos, grp: i + 1, since, tries, nextAt: null })),
  )
}

/** Two halves of at least one. */
export const halved = <T>(group: readonly T[]): T[][] =>
  group.length < 2
    ? [[...group]]
    : [group.slice(0, Math.ceil(group.length / 2)), group.slice(Math.ceil(group.length / 2))]

/** In few parts again. Suspects come before the others of their room, and not in one part with them, which would be asked about only later. */
const together = (groups: readonly ApartRow[][], most: number): ApartRow[][] => {
  const all = groups.flat().sort((a, b) => a.pos - b.pos)
  const parts: ApartRow[][] = []
  for (const those of [all.filter(isSuspect), all.filter((row) => !isSuspect(row))])
    for (let i = 0; i < those.length; i += most) parts.push(those.slice(i, i + most))
  return parts
}

export interface Judging {
  now: number
  maxPdus: number
  /** The destination's backoff after so many failures, ms. */
  interval: (failures: number) => number
}

/** A half, `positions`, was refused, and an empty transaction after that was answered 200. */
export function afterRefusedHalf(
  rows: readonly ApartRow[],
  positions: readonly number[],
  isolation: Isolation,
  at: Judging,
): Sorted {
  const isRefused = ({ pos, grp }: ApartRow): boolean => grp !== null && positions.includes(pos)
  const others = groupsOf(rows.filter((row) => !isRefused(row)))
  // From now on they are suspects, in groups that there have not been.
  const refused = rows.filter(isRefused).map((row) => ({ ...row, grp: 0, tries: Math.max(0, row.tries) }))
  const search = isolation.search ?? newSearch(at.now)
  const nothing = { setAside: [], held: [] }
  const [only] = refused
  if (refused.length > 1 || only === undefined) {
    return {
      apart: numbered([...halved(refused).filter(({ length }) => length > 0), ...others]),
      ...{ rooms: [], search: goesOn(search, at), backsOff: false, found: nothing },
    }
  }
  // Of what is searched, `tries` are the times that a gateway refused it alone.
  const tries = only.tries + 1
  if (isOfGateway(isolation.last?.status ?? null) && tries < OF_A_GATEWAY)
    return triedAgain({ ...only, tries }, others, search, at)
  if (!search.other) {
    // It goes last next time: perhaps it is not the only one that is refused.
    const unsure = search.unsure + 1
    return {
      apart: numbered([...others, [only]]),
      ...{
        rooms: [],
        backsOff: false,
        found: nothing,
        search: { ...search, unsure, waitUntil: at.now + at.interval(unsure) },
      },
    }
  }
  return setAside(only, { rows, others, search, at })
}

/** It stays where it is, before the others of its room, and is tried alone again after a while; the lanes go on. */
function triedAgain(only: ApartRow, others: ApartRow[][], was: Searching, at: Judging): Sorted {
  const { pos, since, tries } = only
  // It counts as no step of the hour: with several such PDUs there would be none left for the others.
  const search = { ...was, steps: was.steps.slice(0, -1) }
  const waits = goesOn(search, at)
  return {
    apart: [{ pos, grp: 1, since, tries, nextAt: null }, ...numbered([[], ...others])],
    ...{ rooms: [], backsOff: false, found: { setAside: [], held: [] } },
    search: waits === search ? { ...search, waitUntil: at.now + at.interval(tries) } : waits,
  }
}

/** What the lanes had for it was refused, and an empty transaction after that was answered 200: it is taken apart by `takeApart`. */
export function afterRefusedWhole({ search }: Isolation, at: Judging): Sorted {
  const goes = search === null ? newSearch(at.now) : goesOn(search, at)
  const backsOff = !goes.other && goes.unsure > 0
  return { apart: [], rooms: [], search: goes, backsOff, found: { setAside: [], held: [] } }
}

/** Nothing was answered 200 since it began, and that came to nothing before: each step then waits longer. */
function goesOn(search: Searching, { now, interval }: Judging): Searching {
  if (search.other || search.unsure === 0) return search
  const unsure = search.unsure + 1
  return { ...search, unsure, waitUntil: now + interval(unsure) }
}

export const newSearch = (now: number): Searching => ({
  ...{ since: now, other: false, turn: 'other', steps: [], unsure: 0, waitUntil: null },
})

function setAside(
  row: ApartRow,
  {
    rows,
    others,
    search,
    at,
  }: { rows: readonly ApartRow[]; others: ApartRow[][]; search: Searching; at: Judging },
): Sorted {
  const { now, maxPdus } = at
  const aside = { pos: row.pos, grp: null, since: now, tries: 0, nextAt: nextTry(row, 0, now) }
  const isAlso = ({ room, pos }: ApartRow): boolean => room === row.room && pos !== row.pos
  const inRoom = rows.filter((other) => isAlso(other) && !isSticky(other, now))
  const recent = inRoom.filter(({ grp, since }) => grp === null && since > now - HOUR_MS)
  const holds = !isSticky(row, now) && recent.length + 1 >= HOLDS_A_ROOM
  if (!holds) {
    // Where one of a room is refused, others of it may be: those of other rooms go first.
    const isOfRoom = (other: ApartRow): boolean => other.room === row.room
    const [elsewhere, same] = [(other: ApartRow) => !isOfRoom(other), isOfRoom].map((is) =>
      together([others.flat().filter(is)], maxPdus),
    )
    const apart = [aside, ...numbered([...(elsewhere ?? []), ...(same ?? [])])]
    return { apart, rooms: [], search, backsOff: false, found: { setAside: [row.pos], held: [] } }
  }
  // All that is apart of the room waits with it.
  const left = others.map((group) => group.filter((other) => !inRoom.includes(other)))
  const withRoom = [row, ...inRoom].map(({ pos, tries }) => ({
    ...{ pos, grp: null, since: now, tries, nextAt: null },
  }))
  return {
    apart: [...withRoom, ...numbered(together(left, maxPdus))],
    rooms: [{ room: row.room, heldSince: now, tries: 0, nextAt: now + ASIDE_MS }],
    ...{ search, backsOff: false, found: { setAside: [row.pos], held: [row.room] } },
  }
}

/** What was set aside, `positions`, was refused again. */
export function afterRefusedAside(
  rows: readonly ApartRow[],
  rooms: readonly RoomRow[],
  positions: readonly number[],
  now: number,
): Pick<Sorted, 'apart' | 'rooms'> {
  const refused = rows.filter(({ pos }) => positions.includes(pos))
  const room = rooms.find((one) => one.heldSince !== null && refused.some((row) => isWith(row, one)))
  if (room?.heldSince != null) {
    const tries = room.tries + 1
    const nextAt = now + Math.min(DAY_MS, ASIDE_MS * 2 ** tries)
    return { apart: [], rooms: [{ room: room.room, heldSince: room.heldSince, tries, nextAt }] }
  }
  const apart = refused.map((row) => {
    const tries = row.tries + 1
    return { pos: row.pos, grp: null, since: row.since, tries, nextAt: nextTry(row, tries, now) }
  })
  return { apart, rooms: [] }
}

/** It waits with its room. */
export const isWith = (row: ApartRow, { room, heldSince }: RoomRow): boolean =>
  heldSince !== null && row.room === room && row.grp === null && row.nextAt === null

/** All halves in the order of the stream again: something was answered 200, where nothing could be concluded before. */
export const afterAnswerAtLast = (rows: readonly ApartRow[]): Sorted['apart'] =>
  numbered(groupsOf(rows).sort(([a], [b]) => (a?.pos ?? 0) - (b?.pos ?? 0)))

/** What is sent next of what is apart. */
export interface ChosenApart {
  kind: 'half' | 'aside'
  rows: ApartRow[]
}

/** What was set aside, or a room that is held, is due. A wait beyond the longest was written by a clock that was wrong, and is over. */
export function dueAside(
  rows: readonly ApartRow[],
  rooms: readonly RoomRow[],
  now: number,
  limits: Places,
): { chosen: ChosenApart | null; nextAt: number | null } {
  const at = (nextAt: number): number => (nextAt > now + DAY_MS ? now : nextAt)
  let nextAt = Infinity
  let first: { at: number; rows: ApartRow[] } | null = null
  const offer = (time: number, those: ApartRow[]) => {
    if (those.length === 0) return
    nextAt = Math.min(nextAt, time)
    if (time <= now && (first === null || time < first.at)) first = { at: time, rows: those }
  }
  for (const row of rows) if (row.grp === null && row.nextAt !== null) offer(at(row.nextAt), [row])
  for (const room of rooms) {
    const those = rows.filter((row) => isWith(row, room))
    if (room.nextAt !== null) offer(at(room.nextAt), fitting(those, limits))
  }
  const due = first as { rows: ApartRow[] } | null
  return {
    chosen: due === null ? null : { kind: 'aside', rows: due.rows },
    nextAt: nextAt === Infinity ? null : nextAt,
  }
}

/** What one transaction may hold. */
interface Places {
  maxPdus: number
  maxBytes: number
}

/** As many of the first half as may go at once; what begins with an odd PDU goes after everything else, but before the rest of its rooms. */
export function firstHalf(rows: readonly ApartRow[], limits: Places): ChosenApart | null {
  const groups = groupsOf(rows)
  const passed = new Set<number>()
  const mayGo = (group: readonly ApartRow[]): boolean => {
    if (group[0]?.odd !== true && !group.some(({ room }) => passed.has(room))) return true
    for (const { room } of group) passed.add(room)
    return false
  }
  const group = groups.find(mayGo) ?? groups[0]
  return group === undefined ? null : { kind: 'half', rows: fitting(group, limits) }
}

/** The first of them, as many as may go at once; one that is odd alone. */
function fitting(group: readonly ApartRow[], { maxPdus, maxBytes }: Places): ApartRow[] {
  const chosen: ApartRow[] = []
  let bytes = 0
  for (const row of group) {
    bytes += (row.bytes ?? 0) + 1
    if (chosen.length > 0 && (row.odd || chosen[0]?.odd === true)) break
    if (chosen.length >= maxPdus || (chosen.length > 0 && bytes > maxBytes)) break
    chosen.push(row)
  }
  return chosen
}
