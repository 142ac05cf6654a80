/**
 * What goes into the next transaction? Pure: what was read of the database in, a plan out.
 *
 * Places are given by lane: sticky replays that are owed, then those that an answer did not list, then the
 * gap's rooms or, without a gap, the timeline. What was chosen is then put in stream order.
 * Always: at most `maxPdus` and `maxBytes`; nothing that lapsed goes as a replay; what a plan acknowledges
 * is a prefix of each lane, so that no cursor ever passes something that is owed and was not chosen.
 */
export interface Pdu {
  pos: number
  eventId: string
  /** Canonical JSON. */
  pdu: string
  /** It was ever sticky (and not redacted since): what an answer says of it is noted. */
  sticky: boolean
  /** When ingest took it, ms since the epoch. */
  receivedTs: number
}

export interface StickyPdu extends Pdu {
  /** By the database's clock: from this moment it is no replay any more. */
  expiresAt: number
}

/** A row of `sticky_owed`; `room` null: the gap's. */
export interface OwedRow {
  room: number | null
  upto: number | null
  cursor: number
}

export interface Reading {
  now: number
  position: number
  head: number
  gap: { id: number; from: number; to: number; cursor: number; batch: number } | null
  owed: OwedRow[]
  /** In stream order. */
  sticky: StickyPdu[]
  unlisted: StickyPdu[]
  gapRooms: Pdu[]
  timeline: Pdu[]
  /** Whether they hold all there is (up to `head`). */
  complete: { sticky: boolean; gapRooms: boolean; timeline: boolean }
}

export interface Limits {
  maxPdus: number
  /** Bytes that the PDUs together may take, commas included. */
  maxBytes: number
}

export type Lane = 't' | 'c' | 's'

export interface Acknowledges {
  /** The position after an answer. */
  position: number
  gapCursor: number | null
  closesGap: boolean
  sticky: OwedRow[]
}

export type Plan =
  | { do: 'send'; pdus: (Pdu & { lane: Lane })[]; soonestLapse: number | null; acknowledges: Acknowledges }
  /** Nothing to send, but cursors move: a gap is through, or the log held nothing for it. */
  | { do: 'move'; acknowledges: Acknowledges }
  | { do: 'nothing' }

/** Places that sticky replays have at least while other PDUs wait too (contract 5.7). */
const STICKY_SHARE = 0.8

export function planTransaction(reading: Reading, limits: Limits): Plan {
  const { now, gap } = reading
  const chosen = new Map<number, Pdu & { lane: Lane }>()
  let bytes = 0
  // False when there is no place left for it. What is in already costs nothing.
  const choose = (pdu: Pdu, lane: Lane): boolean => {
    if (chosen.has(pdu.pos)) return true
    const size = Buffer.byteLength(pdu.pdu) + 1
    if (chosen.size >= limits.maxPdus || (chosen.size > 0 && bytes + size > limits.maxBytes)) return false
    chosen.set(pdu.pos, { ...pdu, lane })
    bytes += size
    return true
  }

  const live = reading.sticky.filter(({ expiresAt }) => now < expiresAt)
  const repeats = reading.unlisted.filter(({ expiresAt }) => now < expiresAt)
  const replays = new Set([...live, ...repeats].map(({ pos }) => pos))
  const othersWait = gap === null && reading.timeline.some(({ pos }) => !replays.has(pos))
  const places = othersWait ? Math.ceil(limits.maxPdus * STICKY_SHARE) : limits.maxPdus
  let stickyThrough = 0
  for (const pdu of live) {
    if (chosen.size >= places || !choose(pdu, 's')) break
    stickyThrough = pdu.pos
  }
  for (const pdu of repeats) if (chosen.size >= places || !choose(pdu, 's')) break

  const acknowledges: Acknowledges = {
    position: reading.position,
    gapCursor: null,
    closesGap: false,
    sticky: movedRows(reading.owed, stickyThrough),
  }
  // All places are the replays' while a gap is open: what is smaller than the next of them must not slip in before it. And
  // what is left of the gap's sticky lane would be forgotten with the gap, so all of it goes first.
  const replaysLeft = !reading.complete.sticky || live.some(({ pos }) => !chosen.has(pos))
  if (gap === null) takeTimeline(reading, choose, acknowledges)
  else if (!replaysLeft) {
    Object.assign(acknowledges, takeGapRooms(reading, gap, chosen, choose))
    if (acknowledges.closesGap) acknowledges.position = gap.to
  }

  if (chosen.size > 0) {
    const pdus = [...chosen.values()].sort((a, b) => a.pos - b.pos)
    const lapses = [...live, ...repeats].filter(({ pos }) => chosen.get(pos)?.lane === 's')
    const soonestLapse = lapses.length === 0 ? null : Math.min(...lapses.map(({ expiresAt }) => expiresAt))
    return { do: 'send', pdus, soonestLapse, acknowledges }
  }
  const moves = acknowledges.position > reading.position || acknowledges.gapCursor !== null
  return moves ? { do: 'move', acknowledges } : { do: 'nothing' }
}

/** Gives a PDU a place; false when there is none left. */
type Choose = (pdu: Pdu, lane: Lane) => boolean

function takeTimeline(reading: Reading, choose: Choose, acknowledges: Acknowledges): void {
  for (const pdu of reading.timeline) {
    if (!choose(pdu, 't')) return
    acknowledges.position = pdu.pos
  }
  if (reading.complete.timeline) acknowledges.position = Math.max(acknowledges.position, reading.head)
}

function takeGapRooms(
  { gapRooms, complete }: Reading,
  gap: NonNullable<Reading['gap']>,
  chosen: ReadonlyMap<number, unknown>,
  choose: Choose,
): Pick<Acknowledges, 'gapCursor' | 'closesGap'> {
  let rooms = 0
  let through: number | null = null
  for (const pdu of gapRooms) {
    // An event that goes as a sticky replay anyway takes no place from the gap's batch.
    if (!chosen.has(pdu.pos)) rooms += 1
    if (rooms > gap.batch || !choose(pdu, 'c')) return { gapCursor: through, closesGap: false }
    through = pdu.pos
  }
  if (!complete.gapRooms) return { gapCursor: through, closesGap: false }
  return { gapCursor: gap.to, closesGap: true }
}

/** Rows whose cursor a lane that was taken through `through` moves. */
function movedRows(owed: readonly OwedRow[], through: number): OwedRow[] {
  return owed
    .map((row) => ({ ...row, cursor: Math.max(row.cursor, Math.min(through, row.upto ?? through)) }))
    .filter((row, index) => row.cursor > (owed[index]?.cursor ?? 0))
}
