/**
 * What goes to a destination beside its lanes: PDUs that are apart (contract 5.9), each in a transaction of its own kind.
 *
 * In this order: what was set aside and is due; then, in turn, a half of the search and what the lanes have. A room that was waiting gets what it
 * missed as if it were such a half, until it has caught up with the others.
 */
import type { Log } from '../observe/log.ts'
import { addToCounter } from '../store/ingest/content.ts'
import { readApart, readApartTexts, type Apart, type ApartRow } from '../store/delivery/apart.ts'
import { missedOf, moveRoom, takeOutSticky, type RoomMove } from '../store/delivery/rooms-that-wait.ts'
import {
  endApart,
  endSearch,
  giveUpApart,
  lockHeld,
  noteNothingApart,
  releaseRooms,
} from '../store/delivery/take-apart.ts'
import { inTransaction, type Pool } from '../store/db.ts'
import type { Searching } from '../store/isolation.ts'
import type { DestinationState, OpenTransaction } from '../store/delivery/destination.ts'
import type { Held } from '../store/delivery/leases.ts'
import { dueAside, firstHalf, groupsOf, type ChosenApart } from './rules/halves.ts'
import { halfAt, isBrought, keptOf } from './rules/isolation.ts'
import {
  soonestLapseOf,
  type ApartTransaction,
  type ChosenPdu,
  type Limits,
  type Sending,
} from './rules/plan.ts'

export interface BesideNeeds {
  pool: Pool
  log: Pick<Log, 'info'>
  onLapsed: (count: number) => void
}

export interface Beside {
  apart: Apart
  /** Goes before what the lanes have. */
  first: ChosenApart | null
  /** Goes where the lanes have nothing. */
  then: ChosenApart | null
  /** Or where what they have came after this, ms since the epoch: `then` is odd, and has waited for the rest. Null: it is not so. */
  thenFrom: number | null
  /** When more of it is due, ms since the epoch; null: nothing is. */
  nextAt: number | null
}

export const NOTHING_BESIDE: Beside = {
  apart: { rows: [], rooms: [] },
  first: null,
  then: null,
  thenFrom: null,
  nextAt: null,
}

/** What there is to be sent of what is apart. Rooms that may go on do so; what is no longer owed goes. */
export async function lookBeside(
  needs: BesideNeeds,
  { held, state }: { held: Held; state: DestinationState },
  limits: Limits,
): Promise<Beside> {
  if (state.isolation?.apart !== true) return NOTHING_BESIDE
  let apart = await readApart(needs.pool, state.id)
  // Before rooms go on: one waits for nothing else where the last of it is given up.
  if (await settle(needs, { held, state }, apart.rows)) apart = await readApart(needs.pool, state.id)
  if (await goOn(needs, { held, state }, apart, limits)) apart = await readApart(needs.pool, state.id)
  const isHeld = apart.rooms.some(({ heldSince }) => heldSince !== null)
  if (isHeld && (await takeOutSticky(needs.pool, held, state.now)))
    apart = await readApart(needs.pool, state.id)
  if (apart.rows.length + apart.rooms.length > 0) {
    if (state.isolation.search !== null && groupsOf(apart.rows).length === 0) {
      await endSearch(needs.pool, held)
      state.isolation = { ...state.isolation, search: null }
    }
    return besideOf(state, apart, limits)
  }
  // Then it may be followed again.
  const isolation = keptOf({ ...state.isolation, apart: false, search: null })
  await noteNothingApart(needs.pool, held, isolation)
  return NOTHING_BESIDE
}

/** What goes, of what is apart. Pure. */
export function besideOf(state: DestinationState, apart: Apart, limits: Limits): Beside {
  const { now, isolation } = state
  if (isolation === null) return { ...NOTHING_BESIDE, apart }
  const { rows, rooms } = apart
  const aside = dueAside(rows, rooms, now, limits)
  const waitsUntil = halfAt(isolation, now, isBrought(state))
  const half = waitsUntil === null ? firstHalf(rows, limits) : null
  const isTurn = isolation.search === null || isolation.search.turn === 'half'
  const odd = half?.rows.find((row) => row.odd)?.since ?? null
  const nextHalf = groupsOf(rows).length > 0 ? waitsUntil : null
  const times = [aside.nextAt, nextHalf].filter((at) => at !== null)
  return {
    apart,
    first: aside.chosen ?? (isTurn && odd === null ? half : null),
    then: half,
    thenFrom: isTurn ? odd : null,
    nextAt: times.length === 0 ? null : Math.min(...times),
  }
}

/** What lapsed, was left, or has no text any more. Returns whether anything changed. */
async function settle(
  { pool, log, onLapsed }: BesideNeeds,
  { held, state: { id, name, now } }: { held: Held; state: DestinationState },
  rows: readonly ApartRow[],
): Promise<boolean> {
  const gone = rows.filter(({ bytes }) => bytes === null)
  const lapsed = rows.filter((row) => row.bytes !== null && row.lane === 's' && !isReplay(row, now))
  if (gone.length === 0 && lapsed.length === 0) return false
  const positions = (them: readonly ApartRow[]) => them.map(({ pos }) => pos)
  const isWritten = await inTransaction(pool, async (db) => {
    // Who took it over may have taken apart again what these rows say.
    if (!(await lockHeld(db, held))) return false
    await addToCounter(db, 'given_up:set_aside', await giveUpApart(db, id, positions(gone)))
    await endApart(db, id, positions(lapsed))
    await releaseRooms(db, id)
    return true
  })
  if (!isWritten) return true
  onLapsed(lapsed.filter(({ expiresAt }) => expiresAt === null || expiresAt <= now).length)
  if (gone.length > 0)
    log.info(
      { destination: name, count: gone.length },
      'PDUs that were refused are older than the log, and given up',
    )
  return true
}

/** It may go as a replay: it is sticky, and the destination is in the room. */
export const isReplay = ({ expiresAt, member }: ApartRow, now: number): boolean =>
  expiresAt !== null && expiresAt > now && member

/** Rooms that wait for nothing get what they missed. Returns whether anything changed. */
async function goOn(
  { pool }: BesideNeeds,
  { held, state }: { held: Held; state: DestinationState },
  apart: Apart,
  limits: Limits,
): Promise<boolean> {
  const moves = await movesOf(pool, state, apart, limits)
  for (const move of moves) await moveRoom(pool, held, move, state.now)
  return moves.length > 0
}

/** How the rooms that wait for nothing go on. */
export async function movesOf(
  pool: Pool,
  state: DestinationState,
  { rows, rooms }: Apart,
  { maxPdus }: Pick<Limits, 'maxPdus'>,
): Promise<RoomMove[]> {
  const lacks = lacksEvidence(state.isolation?.search ?? null, groupsOf(rows).length)
  const going = rooms.filter((room) => !room.busy || (lacks && room.heldSince === null))
  const moves: RoomMove[] = []
  for (const one of going) {
    const { room, cursor } = one
    const { position, head } = state
    // What the lanes have passed: a gap is ahead of the position.
    const passed = Math.max(position, state.gap?.cursor ?? 0)
    const within = { after: cursor, upto: passed }
    // While something of it is searched its row stays: it may come to be held.
    const mayEnd = passed >= cursor && !one.busy
    if (mayEnd && (await missedOf(pool, state.id, room, within, 1)).length === 0) {
      moves.push({ room, cursor, positions: [], ends: true, position })
      continue
    }
    const positions = await missedOf(pool, state.id, room, { after: cursor, upto: head }, maxPdus)
    const upto = positions.length < maxPdus ? Math.max(cursor, head) : (positions.at(-1) ?? cursor)
    if (positions.length === 0 && upto === cursor) continue
    moves.push({ room, cursor: upto, positions, ends: false, position })
  }
  return moves
}

/**
 * Whether nothing is left that could show whose fault it is: one PDU or two are refused alone, again and again, and nothing else is there to be
 * sent. Then their rooms go on, else a destination that is in one room would wait for ever.
 */
const lacksEvidence = (search: Searching | null, groups: number): boolean =>
  search !== null && !search.other && search.unsure >= UNSURE && groups <= UNSURE

const UNSURE = 2

/** The transaction that holds them; null: they are apart no more. */
export async function planApart(
  pool: Pool,
  state: DestinationState,
  { kind, rows }: ChosenApart,
  apart: Apart,
): Promise<Sending | null> {
  const byPos = new Map(rows.map((row) => [row.pos, row]))
  const texts = await readApartTexts(pool, state.id, [...byPos.keys()])
  const pdus = texts.map((pdu): ChosenPdu => {
    const row = byPos.get(pdu.pos)
    const expiresAt = row?.lane === 's' && row.expiresAt !== null ? { expiresAt: row.expiresAt } : {}
    return { pdu: { ...pdu, ...expiresAt }, letter: (row?.lane ?? 't').toUpperCase() as 'T' | 'C' | 'S' }
  })
  if (pdus.length === 0) return null
  const acknowledges = { position: state.position, gapCursor: null, closesGap: false, sticky: [] }
  return { do: 'send', pdus, soonestLapse: soonestLapseOf(pdus), acknowledges, apart: { kind, ...apart } }
}

/** What an unanswered transaction is of what is apart; null: it is from the lanes. */
export function apartOf({ acknowledges }: OpenTransaction, apart: Apart): ApartTransaction | null {
  const { lanes, positions } = acknowledges
  if (lanes === lanes.toLowerCase()) return null
  const isHalf = apart.rows.some(({ pos, grp }) => grp !== null && positions.includes(pos))
  return { kind: isHalf ? 'half' : 'aside', ...apart }
}
