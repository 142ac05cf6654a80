/**
 * The rules of contract 5 that can be seen at one transaction: what may be in it, and what must.
 *
 * Each returns a sentence for what is wrong with it, or null.
 */
import { MAX_PDU_BYTES, SETTINGS, type FrozenView } from './driver.ts'
import type { History, PastEvent } from './history.ts'

/** What was so when the transaction was put together. */
export interface Situation {
  history: History
  view: FrozenView
  /** The time at which it was read, or earlier. */
  readTime: number
  pdus: string[]
  position: number
  gap: { from: number; to: number } | null
  /** Positions that are out of all lanes; and whether the room of an event waits. */
  apart: readonly number[]
  apartSince: ReadonlyMap<number, number>
  waits: (event: PastEvent) => boolean
  searched: readonly number[]
  /** Of these: what a gateway refused alone, once or twice, so that nothing is concluded yet. */
  doubted: readonly number[]
  /** It holds EDUs alone that are searched or were set aside. */
  ofEdus: boolean
  /** Less goes at once than usual: it was learned. */
  limited: boolean
  /** The latest time that was ever seen: what lapsed is never taken back. */
  latest: number
}

type Rule = (at: Situation) => string | null

const eachPdu =
  (rule: (event: PastEvent, lane: string, at: Situation, index: number) => string | null): Rule =>
  (at) => {
    for (const [index, pos] of at.view.positions.entries()) {
      const event = at.history.at(pos)
      const wrong =
        event === undefined ? 'it never was an event' : rule(event, at.view.lanes[index] ?? '', at, index)
      if (wrong !== null) return `position ${pos} (lane ${at.view.lanes[index]}): ${wrong}`
    }
    return null
  }

/** I2 */
const orderAndLimits: Rule = ({ view: { positions, edus }, pdus }) => {
  if (positions.length === 0 && edus.positions.length === 0) return 'it is empty'
  if (positions.length > SETTINGS.maxPdus) return `it has ${positions.length} PDUs`
  if (positions.length !== pdus.length) return 'its body and its positions differ'
  if (positions.some((pos, index) => index > 0 && pos <= (positions[index - 1] ?? 0))) {
    return `it is not in stream order: ${positions.join(', ')}`
  }
  const bytes = pdus.reduce((sum, pdu) => sum + Buffer.byteLength(pdu) + 1, 0)
  return pdus.length > 1 && bytes > MAX_PDU_BYTES ? `its PDUs take ${bytes} bytes` : null
}

/** I12 */
const content = eachPdu((event, _lane, { pdus }, index) => {
  if (event.purgedAt !== null) return 'its room was purged'
  if (event.erasedAt !== null) return 'it was erased'
  if (pdus[index] !== event.pdu) return event.redactedAt === null ? 'its text differs' : 'it was redacted'
  return null
})

/** I5, I7 */
const entitlement = eachPdu((event, lane, { history, view, gap, position, apart, waits }) => {
  if (lane === lane.toUpperCase()) {
    if (!apart.includes(event.pos)) return 'it is not apart'
    if (lane !== 'S' && !event.entitled) return 'we are not entitled to it'
  } else if (apart.includes(event.pos)) return 'it is apart'
  else if (lane !== 's' && waits(event)) return 'its room waits'
  else if (lane !== 's') {
    if (!event.entitled) return 'we are not entitled to it'
    if (lane === 't' && gap !== null) return 'a timeline event while a gap is open'
    if (lane === 't' && event.pos <= position) return `a timeline event behind our position ${position}`
    if (lane === 'c' && (gap === null || event.pos <= gap.from || event.pos > gap.to))
      return 'no gap covers it'
    return null
  }
  if (lane === 'T' || lane === 'C') return null
  if (!history.isSticky(event, view.frozenAt)) return 'a replay of what is sticky no more'
  // Asked when it is frozen: what was so when it was planned does not count (contract 5.5).
  return history.inRoomNow(event.room) ? null : 'a replay to a server that is not in the room'
})

/** Contract 5.2: what an operator gave up is not sent, unless a join after that asks for it. */
const skipped = eachPdu((event, lane, { history }) => {
  const upto = history.skippedUpTo()
  if (event.pos > upto) return null
  return lane.toLowerCase() === 's' && history.joinedSince(event.room, upto)
    ? null
    : `an operator gave up what was owed up to ${upto}`
})

/** I8, and that what was acknowledged does not go again. */
const once = eachPdu((event, lane, { history, view }) => {
  const last = event.told.at(-1)
  if (last === undefined) return null
  const wasSticky = event.stickyUntil !== null
  if (!last.listed && wasSticky) return null
  if (event.redactedAt !== null && event.redactedAt > last.readAt) return null
  if (
    lane.toLowerCase() === 's' &&
    history.isSticky(event, view.frozenAt) &&
    history.joinedSince(event.room, last.readAt)
  ) {
    return null
  }
  return 'it was acknowledged before'
})

/** Replays that are certainly owed and have never been answered since they are. */
export function certainlyOwed({ history, view, readTime, gap, latest, apart }: Situation): PastEvent[] {
  const now = Math.max(readTime, view.frozenAt, latest)
  return history.all().filter((event) => {
    if (apart.includes(event.pos) || event.pos > view.readAt || !history.isCertainlySticky(event, now))
      return false
    if (!history.inRoomAt(event.room, view.readAt) || !history.inRoomNow(event.room)) return false
    const join = history.joinAfter(event, view.readAt)
    // One that had lapsed when we joined, by a clock that went back since, is not owed.
    if (join !== null && event.stickyUntil !== null && event.stickyUntil > join.at) {
      return !history.isOfBeforeSkip(join.from) && !event.told.some(({ writtenAt }) => writtenAt >= join.from)
    }
    return gap !== null && event.entitled && event.pos > gap.from && event.told.length === 0 && !event.givenUp
  })
}

/** Contract 5.4 and 5.7: replays first, and volume never pushes them out. */
const stickiesFirst: Rule = (at) => {
  const { history, view, gap, pdus, latest } = at
  // While the clock is behind what it was, replays that had lapsed may take places again.
  if (latest > view.frozenAt) return null
  // Halves of a search and replays go in turn, and what was set aside goes when it is due.
  if (view.lanes !== view.lanes.toLowerCase() || at.ofEdus) return null
  const owed = certainlyOwed(at)
  const inIt = owed.filter(({ pos }) => view.positions.includes(pos))
  const missing = owed.filter(({ pos }) => !view.positions.includes(pos))
  const [next] = missing
  if (next === undefined) return null
  // The next one may be too large for the bytes that are left: then it is the first of the next transaction.
  const replays = pdus.filter((_, index) => view.lanes[index] === 's')
  const bytes = replays.reduce((sum, pdu) => sum + Buffer.byteLength(pdu) + 1, 0)
  // What an answer did not list is repeated beside everything else, where there is place.
  const late = inIt.find(
    ({ pos, told }) =>
      pos > next.pos && view.lanes[view.positions.indexOf(pos)] === 's' && told.at(-1)?.listed !== false,
  )
  if (late !== undefined) return `the replay ${late.pos} goes before the replay ${next.pos}`
  const tooLarge = ({ pdu }: PastEvent) => bytes + Buffer.byteLength(pdu) + 1 > MAX_PDU_BYTES
  const ahead = history
    .all()
    .filter(
      ({ pos, told }) => pos < next.pos && !view.positions.includes(pos) && told.at(-1)?.listed === false,
    )
  if (replays.length > 0 && (at.limited || [next, ...ahead].some(tooLarge))) return null
  // Or it goes alone, or this one does; EDUs by themselves take turns with what goes alone.
  if (
    (replays.length > 0 || view.positions.length === 0) &&
    [next, ...ahead, ...view.positions.map((pos) => history.at(pos))].some((one) => one?.odd)
  )
    return null
  if (gap !== null) {
    const full = replays.length === view.positions.length
    return full ? null : `other PDUs go while a gap is open and the replay ${next.pos} waits`
  }
  const places = Math.ceil(SETTINGS.maxPdus * 0.8)
  return replays.length >= places ? null : `the replay ${next.pos} has to wait`
}

/** Contract 5.4: when it must go by catch-up. */
const gapWhereDue: Rule = ({ history, view, readTime, position, gap, apart, waits }) => {
  // Who has just answered is in real time: what is left is sent as it comes, without a look at the rows.
  if (gap !== null || !view.lanes.includes('t') || view.steady) return null
  const waiting = history
    .waiting(position, view.readAt)
    .filter((event) => !apart.includes(event.pos) && !waits(event))
  // The first in the stream stands for the oldest, also one that went already as a replay. What came while the clock was
  // ahead is young for a while: it is sent in its turn, and the next one is the first.
  const first = history.all().find((event) => event.entitled && event.pos > position && !waits(event))
  const since = Math.max(first?.receivedAt ?? readTime, waiting[0]?.receivedAt ?? readTime)
  const age = readTime - since
  const { threshold_pdus, min_age_ms } = SETTINGS.catchUp
  if (waiting.length <= threshold_pdus || age <= min_age_ms) return null
  return `${waiting.length} PDUs wait, the oldest for ${age} ms, and no gap is open`
}

/** Contract 5.9: what is searched of a room comes before the rest of it. */
const roomsWait = eachPdu((event, lane, { history, searched }) => {
  if (lane !== 't' && lane !== 'c') return null
  const first = searched.find((pos) => pos < event.pos && history.at(pos)?.room === event.room)
  return first === undefined ? null : `${first} of its room is searched`
})

/** Contract 5.9: while it is tried alone again, what is searched of its room stays behind it; what is or was sticky may have overtaken it. */
const keepsItsPlace = eachPdu((event, lane, { history, searched, doubted, view: { positions } }) => {
  if (event.stickyUntil !== null || lane !== lane.toUpperCase() || !searched.includes(event.pos)) return null
  const first = doubted.find((pos) => pos < event.pos && history.at(pos)?.room === event.room)
  return first === undefined || positions.includes(first) ? null : `${first} of its room is in doubt`
})

/** Contract 5.9: a receiver that can't read it refuses all that comes with it. */
const oddAlone: Rule = ({ history, view: { positions } }) => {
  const odd = positions.find((pos) => history.at(pos)?.odd === true)
  return odd === undefined || positions.length === 1 ? null : `${odd} is odd`
}

/** Contract 5.9: after everything else that was due when it was taken out. A gap goes its own way, and what is set aside has times of its own. */
const oddLast = eachPdu(
  (event, lane, { history, view, gap, position, apart, apartSince, searched, waits }) => {
    if (!event.odd || event.stickyUntil !== null || gap !== null || !['t', 'T', 'C'].includes(lane))
      return null
    if (lane !== 't' && !searched.includes(event.pos)) return null
    const since = lane === 't' ? Infinity : (apartSince.get(event.pos) ?? 0)
    const before = history
      .waiting(position, view.readAt)
      .find((other) => other !== event && !apart.includes(other.pos) && !waits(other))
    // The first in the stream stands for what came first: a clock may have been set back since.
    return before === undefined || before.receivedAt > since ? null : `it is odd, and ${before.pos} waits`
  },
)

export const RULES: Record<string, Rule> = {
  'order and limits (I2)': orderAndLimits,
  'redacted, purged or erased (I12)': content,
  'entitlement and lapse (I5, I7)': entitlement,
  'once (I8)': once,
  'skipped by an operator (5.2)': skipped,
  'a room waits behind what is searched of it (5.9)': roomsWait,
  'what a gateway refuses keeps its place (5.9)': keepsItsPlace,
  'what is odd goes alone (5.9)': oddAlone,
  'what is odd goes last (5.9)': oddLast,
  'sticky events first (5.4, 5.7)': stickiesFirst,
  'catch-up where it is due (5.4)': gapWhereDue,
}
