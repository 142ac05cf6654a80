/**
 * Watches a schedule: judges every transaction when it is frozen, every request when it is made, every move
 * of the position, and at the end what was owed.
 */
import type { SendResult } from '../../src/wire/send.ts'
import { SETTINGS, type FrozenView, type View } from './driver.ts'
import type { History, PastEvent } from './history.ts'
import { RULES } from './rules.ts'

export class Violation extends Error {}

export function violated(rule: string, what: string): never {
  throw new Violation(`${rule}: ${what}`)
}

const DAY = 86_400_000

interface Unanswered extends FrozenView {
  sends: number
  lastSentAt: number
}

/** A wish counts for attempts that begin up to `until`: one that comes during an attempt counts after it. */
interface Wished {
  by: 'wake' | 'reset' | 'server up' | 'join' | 'clock'
  at: number
  until: number
  followed: boolean
}
/** `server_up` and a join bring an attempt forward by seconds, or, when the last one was in vain, to at most an hour. */
const ADVICE_WINDOW_MS = 3_600_000 + 5_000

export interface Held {
  /** Not before this, unless a wish or advice frees one attempt. */
  until: number
  freed?: boolean
  kind: 'backoff' | 'retry after' | 'gone'
}

export function makeWatch(history: History) {
  let unanswered: Unanswered | null = null
  let held: Held | null = null
  let before: View | null = null
  const wished: Wished[] = []
  let wentBack = false
  let pending = false
  let latest = 0
  let newestTimeline = 0

  /** What lapsed or ended by then stays so when the clock goes back. */
  function seen(now: number): void {
    latest = Math.max(latest, now)
  }

  /** Before a look: what is so now. */
  function look(view: View | null): void {
    before = view
  }

  /** After a look: where an operator asked for an attempt and there was none yet, nothing may be left waiting. */
  function looked(what: 'sent' | 'nothing' | 'lost', view: View | null): void {
    if (!pending || what !== 'nothing' || view === null) return
    if (wentBack || view.paused || held?.kind === 'retry after') return
    const [waiting] = history.waiting(view.position, view.head)
    if (waiting !== undefined) violated('wake and reset try now (4)', `${waiting.pos} waits`)
  }

  function frozen(view: FrozenView, now: View | null): void {
    if (now === null) return
    const body = JSON.parse(view.body) as { origin_server_ts: number }
    const texts = view.positions.length === 0 ? [] : splitPdus(view.body)
    const gap = now.gaps.find(({ open }) => open) ?? null
    const at = {
      history,
      view,
      readTime: body.origin_server_ts,
      pdus: texts,
      position: now.position,
      gap,
      latest,
    }
    for (const [name, rule] of Object.entries(RULES)) {
      const wrong = rule(at)
      if (wrong !== null) violated(name, `${view.txnId} with ${view.positions.join(', ')}: ${wrong}`)
    }
    const timeline = view.positions.filter((_, index) => view.lanes[index] === 't')
    if (timeline.some((pos) => pos <= newestTimeline)) {
      violated('stream order (5.1)', `timeline ${timeline.join(', ')} after ${newestTimeline}`)
    }
    if (unanswered !== null && !mayEnd(unanswered, view.frozenAt)) {
      violated('one unanswered id (I2)', `${view.txnId} while ${unanswered.txnId} has no answer`)
    }
    unanswered = { ...view, sends: 0, lastSentAt: 0 }
  }

  function mayEnd({ frozenAt, readAt, positions }: Unanswered, now: number): boolean {
    if (Math.max(now, latest) - frozenAt >= DAY) return true
    return positions.some((pos) => {
      const event = history.at(pos)
      return (event?.redactedAt ?? 0) > readAt || (event?.purgedAt ?? 0) > readAt
    })
  }

  function request({ txnId, body }: { txnId: string; body: string }, now: number): void {
    if (unanswered?.txnId !== txnId) violated('one unanswered id (I2)', `${txnId} goes out unasked`)
    if (unanswered.body !== body) violated('same id, same bytes (I3)', txnId)
    if (unanswered.sends > 0 && mayEnd({ ...unanswered, frozenAt: Infinity }, 0)) {
      violated('redacted or purged (I12)', `${txnId} is repeated with what was taken away`)
    }
    unanswered.sends += 1
    unanswered.lastSentAt = now
    pending = false
    // Advice that nobody has followed yet counts from the first attempt after it.
    for (const one of wished) {
      if (!one.followed && one.until > one.at) one.until = Math.max(one.until, now + ADVICE_WINDOW_MS)
      one.followed = true
    }
    if (before?.paused === true) violated('paused', 'a request goes out')
    if (held !== null && held.freed !== true && now < held.until) {
      violated('backoff (5.8)', `a request at ${now}, held by ${held.kind} until ${held.until}`)
    }
  }

  /** What limpet wrote down of an attempt. */
  function written(result: SendResult, at: { head: number; listed: (eventId: string) => boolean }): void {
    if (unanswered === null) violated('one unanswered id (I2)', 'an answer to nothing')
    if (result.kind === 'answered') {
      for (const [index, pos] of unanswered.positions.entries()) {
        const event = history.at(pos)
        event?.told.push({ readAt: unanswered.readAt, writtenAt: at.head, listed: at.listed(event.eventId) })
        if (unanswered.lanes[index] === 't') newestTimeline = Math.max(newestTimeline, pos)
      }
      unanswered = null
      held = null
      return
    }
    // Waits run from the end of the attempt; a clock that was moved meanwhile changes nothing.
    const began = unanswered.lastSentAt
    const ended = began + result.durationMs
    if (!result.handed && unanswered.sends === 1) unanswered = null
    const { first_ms, jitter } = SETTINGS.backoff
    if (result.status === 429 && result.retryAfterMs !== null) {
      held = { kind: 'retry after', until: ended + Math.min(result.retryAfterMs, DAY) }
    } else if (result.status === 410) held = { kind: 'gone', until: ended + DAY }
    // One that was brought forward leaves the ordinary attempt where it was.
    else if (held?.kind === 'backoff' && ended < held.until) held = { ...held, freed: false }
    // Or of one whose time this model does not know to the second.
    else if (held?.freed === true) held = null
    else {
      // A 429 right after a takeover is no failure: it waits a second.
      const least = result.status === 429 ? 1_000 : first_ms * (1 - jitter) - 2
      held = { kind: 'backoff', until: ended + least }
    }
    // A `Retry-After` came after whatever was wished while the request was under way.
    if (held?.kind !== 'retry after') for (const one of wished) if (one.until >= began) free(one)
    // A clock that went back makes every time before it another one: nothing is said of waits from then on.
    if (wentBack) held = null
  }

  /** A wish or advice lets the next attempt come sooner than what holds it says. */
  function freed(by: 'wake' | 'reset' | 'server up' | 'join' | 'clock', now: number): void {
    const advice = by === 'join' || by === 'server up'
    const one = { by, at: now, until: advice ? now + ADVICE_WINDOW_MS : now, followed: false }
    wished.push(one)
    pending ||= by === 'wake' || by === 'reset'
    wentBack ||= by === 'clock'
    free(one)
  }

  function free({ by }: Wished): void {
    if (held === null) return
    if (by === 'reset' || by === 'clock') held = null
    else if (held.kind === 'backoff' || (held.kind === 'gone' && by !== 'join'))
      held = { ...held, freed: true }
  }

  /** After every command: position and gaps only move as they may. */
  function moved(view: View | null, now: number): void {
    const from = before
    seen(now)
    before = view
    if (view === null) return
    if (from !== null && view.position < from.position) {
      violated('position only moves forward (I4)', `${from.position} to ${view.position}`)
    }
    const lost = history
      .all()
      .find((event) => event.pos <= view.position && isOwed(event) && !skippable(event, view))
    if (lost !== undefined) {
      violated('position passes only what was sent (5.3)', `${view.position} is past ${lost.pos}`)
    }
    for (const gap of view.gaps) {
      const known = from?.gaps.find((one) => one.from === gap.from && one.to === gap.to)
      if (known === undefined) checkOpening(gap)
    }
  }

  function checkOpening(gap: { from: number; to: number }): void {
    const { threshold_pdus, min_age_ms } = SETTINGS.catchUp
    // What the very look that opened it has sent is counted too.
    const waiting = history.all().filter(({ pos, entitled }) => entitled && pos > gap.from && pos <= gap.to)
    if (waiting.length <= threshold_pdus) {
      violated('no gap without need (5.4)', `${waiting.length} events in (${gap.from}, ${gap.to}]`)
    }
    const age = latest - Math.min(...waiting.map(({ receivedAt }) => receivedAt))
    if (age <= min_age_ms) violated('no gap without need (5.4)', `the oldest is ${age} ms old`)
  }

  /** I6, when everything has settled. `listed`: an answer must have listed each sticky event. */
  function settled(view: View | null, { listed }: { listed: boolean }): void {
    if (view === null) return
    seen(view.now)
    if (view.openTxn !== null) violated('settled', 'a transaction is open')
    if (view.gaps.some(({ open }) => open)) violated('settled', 'a gap is open')
    if (view.position !== view.head) violated('settled', `position ${view.position}, head ${view.head}`)
    if (view.lookAt !== null && view.lookAt <= view.now) violated('settled', 'it is due, and nothing is done')
    for (const event of history.all()) {
      if (isOwed(event) && !skippable(event, view)) violated('everything owed arrives (I6)', `${event.pos}`)
      if (!history.isSticky(event, latest) || !history.inRoomNow(event.room)) continue
      const join = history.joinAfter(event, view.head)
      if (join === null && !event.entitled) continue
      if (join !== null && (event.stickyUntil ?? 0) <= join.at) continue
      const since = event.told.filter(({ writtenAt }) => join === null || writtenAt >= join.from)
      if (since.length === 0) violated('every sticky event arrives (I6, I8)', `${event.pos}`)
      const repeats = event.told.filter((told) => !told.listed).length
      if (listed && !since.some((told) => told.listed) && repeats < 6) {
        violated('what is not listed is repeated (5.5)', `${event.pos}`)
      }
    }
  }

  const isOwed = ({ entitled, told, purgedAt }: PastEvent) =>
    entitled && told.length === 0 && purgedAt === null

  /** What catch-up may leave out: not a room's newest of the gap, not what we could not fetch. */
  function skippable(event: PastEvent, { gaps }: View): boolean {
    const gap = gaps.find(({ from, to }) => event.pos > from && event.pos <= to)
    if (gap === undefined || event.outside) return false
    return history
      .all()
      .some(
        ({ pos, room, entitled, purgedAt }) =>
          entitled && purgedAt === null && room === event.room && pos > event.pos && pos <= gap.to,
      )
  }

  return { seen, look, looked, frozen, request, written, freed, moved, settled }
}

/** The texts of a transaction's PDUs: in the model each is on a line of its own. */
function splitPdus(body: string): string[] {
  const from = body.indexOf('"pdus":[') + '"pdus":['.length
  return (JSON.parse(`[${body.slice(from, -2)}]`) as unknown[]).map((pdu) => JSON.stringify(pdu))
}
