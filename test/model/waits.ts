/** When may an attempt be made? Contract 5.8 as plainly as it can be said: what holds it, and what frees it. */
import type { SendResult } from '../../src/wire/send-result.ts'
import { lookBy, whyNotNow, type Failing, type Lapsing } from './deadlines.ts'
import { SETTINGS, type View } from './driver.ts'
import { violated } from './watch.ts'

const DAY = 86_400_000
const WEEK = 7 * DAY
/** One that answers everything by 401 or 403 waits so long, doubling (5.9). */
const LOCKED_MS = 3_600_000
/** `server_up` and a join bring an attempt forward by seconds, or, when the last one was in vain, to at most an hour. */
const ADVICE_WINDOW_MS = 3_600_000 + 5_000

interface Held {
  /** Not before this, unless a wish or advice frees one attempt. */
  until: number
  freed?: boolean
  kind: 'backoff' | 'retry after' | 'gone'
}

export type FreedBy = 'wake' | 'reset' | 'server up' | 'join' | 'clock'

/** A wish counts for attempts that begin up to `until`: one that comes during an attempt counts after it. */
interface Wished {
  by: FreedBy
  at: number
  until: number
  followed: boolean
  /** Its place in the order of wishes and looks: a clock may stand still between them. */
  seq: number
}

/** What a process knew when it decided to send. */
export interface Basis {
  now: number
  paused: boolean
  held: Held | null
  seq: number
  head: number
  failures: number
  retryAt: number | null
  /** What is sticky and may be owed. */
  lapsing?: readonly Lapsing[]
  takenAway?: boolean
  /** False: it was owed nothing. */
  owes?: boolean
}

/** A process, until it is killed: what it knew is gone then. */
type Who = { readonly name: string }

/** An attempt without an answer: by whom, and what was known before it. */
interface Unanswered {
  by: Who
  at: number
  held: Held | null
  failingSince: number | null
  failing: Failing
  failures: number
  retryAt: number | null
  after: { failures: number; retryAt: number | null }
}

const NOT_FAILING: Failing = { earliest: null, latest: null, ended: 0, tries: [] }

export function makeWaits() {
  let held: Held | null = null
  /** When the first attempt since the last answer failed, or later. */
  let failingSince: number | null = null
  let failing: Failing = NOT_FAILING
  /** The attempt under way came before its time; `forSticky`: nothing else can have brought it forward. */
  let early: { basis: Basis; forSticky: boolean } | null = null
  let lastSentAt = 0
  let lastLook = 0
  let seq = 0
  let wished: Wished[] = []
  let wentBack = false
  let basisOf: Basis | null = null
  /** What was known before the last empty transaction; and how often in a row everything was answered by 401 or 403, after the first time. */
  let question: Basis | null = null
  let locked: number | null = null
  /** What failed without an answer since the last one, in its order, and what was before it. */
  let unanswered: Unanswered[] = []
  /** What was undone, as it had left the row. */
  let undone: Unanswered[] = []
  let pending = false

  /** `lostMs`: what the process stood still before the request: a wait is as much shorter, since no attempt knows of that time. */
  function request(now: number, basis: Basis | null, lostMs = 0): void {
    lastSentAt = now - lostMs
    basisOf = basis
    lastLook = basis?.seq ?? seq
    early = null
    pending = false
    // Advice that nobody has followed yet counts from the first attempt after it.
    for (const one of wished) {
      if (!one.followed && one.until > one.at) one.until = Math.max(one.until, now + ADVICE_WINDOW_MS)
      one.followed = true
    }
    if (basis === null) return
    if (basis.paused) violated('paused', 'a request goes out')
    const isFreed = basis.held?.freed === true || held?.freed === true
    if (basis.held !== null && !isFreed && basis.now < basis.held.until && basis.held.kind !== 'backoff')
      violated(
        'backoff (5.8)',
        `decided at ${basis.now}, held by ${basis.held.kind} until ${basis.held.until}`,
      )
    // What the row says is what a failing destination is left alone until, and no less than what this model knows of it.
    const until = Math.max(basis.retryAt ?? 0, basis.held?.until ?? 0)
    if (basis.now >= until || wentBack) return
    early = { basis, forSticky: basis.held?.kind === 'backoff' && !isFreed }
    const why = early.forSticky ? whyNotNow(failing, basis.lapsing ?? [], basis.now) : null
    if (why !== null)
      violated('backoff (5.8)', `decided at ${basis.now}, held by backoff until ${until}: ${why}`)
  }

  /**
   * Whether there was anything to forget. Where there was not, a row does not tell a reset from a wake: the first failure, of an attempt
   * that was under way, counts although it was asked for a reset meanwhile.
   */
  const hadFailed = () => basisOf === null || basisOf.failures > 0

  function written(result: SendResult, view: View | null, by: Who): void {
    noteUnanswered(result, view, by)
    const own = unanswered.at(-1)
    if (result.kind === 'answered') {
      held = null
      locked = null
      failingSince = null
      failing = NOT_FAILING
      return
    }
    // Waits run from the end of the attempt; a clock that was moved meanwhile changes nothing.
    const began = lastSentAt
    const ended = began + result.durationMs
    const { first_ms, jitter, dead_after_ms } = SETTINGS.backoff
    // A 429 right after a takeover is none; a reset from while it was under way has emptied what it would have written.
    const asks = result.status === 429 || (result.status === 503 && result.retryAfterMs !== null)
    const wasReset = hadFailed() && wished.some(({ by, seq }) => by === 'reset' && seq > lastLook)
    if (!asks && !wasReset) failingSince ??= ended
    failing = {
      earliest: wasReset ? null : (failing.earliest ?? ended),
      latest: failingSince,
      ended,
      tries: early === null ? failing.tries : [...failing.tries, { at: began, forSticky: early.forSticky }],
    }
    const was = early?.basis
    const isWhole = result.whole === true
    const stays =
      was !== undefined && !wasReset && !wentBack && !isWhole && (was.retryAt ?? 0) > ended + 1_000
    if (stays && view !== null && (view.failures !== was.failures || view.retryAt !== was.retryAt))
      violated(
        'a try before its time leaves the backoff as it was (5.8)',
        `${was.failures} failures, next at ${was.retryAt}: now ${view.failures}, next at ${view.retryAt}`,
      )
    if (asks && result.retryAfterMs !== null) {
      held = { kind: 'retry after', until: ended + Math.min(result.retryAfterMs, DAY) }
    } else if (result.status === 410) held = { kind: 'gone', until: ended + DAY }
    // The day of a 410 goes on, whatever is answered meanwhile.
    else if (held?.kind === 'gone' && ended < held.until) held = { ...held, freed: false }
    // What is refused is tried again soon, twice; then an empty one asks (5.9).
    else if (isWhole)
      held = {
        kind: 'backoff',
        until: ended + first_ms * (1 - jitter) - 2,
        ...(held?.freed === true && { freed: true }),
      }
    // One that was brought forward leaves the ordinary attempt where it was.
    // Its time in the row may be a little later than the least that this model knows of it.
    else if (held?.kind === 'backoff' && (ended < held.until || (early?.basis.retryAt ?? 0) > ended))
      held = { ...held, freed: false }
    // Or of one whose time this model does not know to the second.
    else if (held?.freed === true) held = null
    else {
      // A 429 right after a takeover is no failure: it waits a second.
      const isDead = failingSince !== null && ended - failingSince > dead_after_ms + 1_000
      const wait = isDead ? WEEK : first_ms
      const least = asks ? 1_000 : wait * (1 - jitter) - 2
      held = { kind: 'backoff', until: ended + least }
    }
    // A `Retry-After` came after whatever was wished while the request was under way.
    if (held?.kind !== 'retry after') {
      // A reset from before the look that led to this attempt has had its effect, though no time passed between them.
      for (const one of wished) {
        if (one.seq > lastLook || (one.by !== 'reset' && one.until >= began))
          free(one.by === 'reset' && !hadFailed() ? 'wake' : one.by)
      }
      // A reset from while it was under way undoes what was before it alone.
      if (own !== undefined && unanswered.length === 0) unanswered = [{ ...own, failures: 0, retryAt: null }]
    }
    // A clock that went back makes every time before it another one: nothing is said of waits from then on.
    if (wentBack) held = null
  }

  /** An empty transaction asks whose fault a refusal is. */
  function asks(basis: Basis | null): void {
    question = basis
    // It is an attempt: what an operator asked for before it is done.
    pending = false
  }

  /** It was not answered 200 either. `isLock`: both were answered by 401 or 403. */
  function questionFailed({ durationMs }: SendResult, view: View, isLock: boolean): void {
    leavesEarly(view)
    const asked = question
    const wasReset = wished.some(({ by, seq }) => by === 'reset' && seq > (asked?.seq ?? 0))
    // What came before its time leaves the wait as it was, and says nothing new.
    if (!isLock || asked === null || wentBack || wasReset || view.retryAt === asked.retryAt) {
      if (!isLock) locked = null
      return
    }
    locked = locked === null ? 0 : locked + 1
    const wait = Math.min(DAY, LOCKED_MS * 2 ** locked)
    held = { kind: 'backoff', until: asked.now + durationMs + wait * (1 - SETTINGS.backoff.jitter) - 2 }
    for (const one of wished)
      if (one.seq > asked.seq || (one.by !== 'reset' && one.until >= asked.now)) free(one.by)
  }

  /** A question belongs to the attempt before it: one that came before its time leaves the backoff as it was. */
  function leavesEarly(view: View): void {
    const was = early?.basis
    if (was === undefined || wentBack || (was.retryAt ?? 0) <= view.now + 1_000) return
    if (wished.some(({ by, seq }) => by === 'reset' && seq > lastLook)) return
    // What was refused for the first or second time is tried sooner.
    if (view.failures <= was.failures && (view.retryAt ?? 0) <= (was.retryAt ?? 0)) return
    violated(
      'a try before its time leaves the backoff as it was (5.8)',
      `${was.failures} failures, next at ${was.retryAt}: after a question ${view.failures}, next at ${view.retryAt}`,
    )
  }

  function noteUnanswered(result: SendResult, view: View | null, by: Who): void {
    if (result.kind === 'answered') undone = []
    if (result.kind === 'answered' || result.status !== null || view === null) unanswered = []
    else
      unanswered.push({
        ...{ by, at: lastSentAt + result.durationMs, held, failingSince, failing },
        ...{ failures: basisOf?.failures ?? 0, retryAt: basisOf?.retryAt ?? null },
        after: { failures: view.failures, retryAt: view.retryAt },
      })
  }

  /** The first of those that are undone with `last`: until another tried it, or something else has changed what the one before had left. */
  function firstOf(last: Unanswered, isBy: (one: Unanswered) => boolean): number {
    let from = unanswered.length - 1
    for (; from > 0; from -= 1) {
      const [earlier, later] = [unanswered[from - 1], unanswered[from]]
      const follows = earlier?.after.failures === later?.failures && earlier?.after.retryAt === later?.retryAt
      if (earlier === undefined || !isBy(earlier) || !follows) break
      if (earlier.at <= last.at - SETTINGS.faults.windowMs) break
    }
    return from
  }

  /** What failed by the fault of `by` is undone (5.11): as if the first of them, and all after it, had not been made. */
  function putBack(view: View, by: Who): void {
    locked = null
    const last = unanswered.at(-1)
    // Nothing is said of waits from then on.
    if (wentBack) {
      unanswered = []
      held = null
      return
    }
    if (last?.by !== by)
      violated('what is put back failed for us (5.11)', `${by.name} puts back what did not`)
    const seems = firstOf(last, (one) => seemsBy(by, one))
    const is = firstOf(last, (one) => one.by === by)
    const isAsBefore = (from: number) => {
      const { failures, retryAt } = unanswered[from] ?? last
      return view.failures === failures && view.retryAt === retryAt
    }
    if (!isAsBefore(seems) && !isAsBefore(is)) {
      const { failures, retryAt } = unanswered[is] ?? last
      violated(
        'what is put back is as it was (5.11)',
        `${failures} failures, next at ${retryAt}: now ${view.failures}, next at ${view.retryAt}`,
      )
    }
    const from = isAsBefore(is) ? is : seems
    const first = unanswered[from] ?? last
    undone.push(...unanswered.splice(from))
    ;({ held, failingSince, failing } = first)
  }

  /** Its own, or another's that left the row, in the same second, as one of its own that was undone: here, where no wait has a jitter, both may be. */
  const seemsBy = (by: Who, one: Unanswered): boolean =>
    one.by === by ||
    undone.some(
      ({ by: its, at, after }) =>
        its === by &&
        Math.abs(at - one.at) < 1_000 &&
        after.failures === one.after.failures &&
        after.retryAt === one.after.retryAt,
    )

  /** A wish or advice lets the next attempt come sooner than what holds it says. */
  function freed(by: FreedBy, now: number): void {
    const advice = by === 'join' || by === 'server up'
    const until = advice ? now + ADVICE_WINDOW_MS : now
    wished.push({ by, at: now, until, followed: false, seq: (seq += 1) })
    pending ||= by === 'wake' || by === 'reset'
    wentBack ||= by === 'clock'
    free(by)
  }

  function free(by: FreedBy): void {
    if (by === 'reset') {
      unanswered = []
      locked = null
      failingSince = null
      failing = NOT_FAILING
    }
    if (held === null) return
    if (by === 'reset' || by === 'clock') held = null
    else if (held.kind === 'backoff' || (held.kind === 'gone' && by !== 'join'))
      held = { ...held, freed: true }
  }

  return {
    request,
    written,
    asks,
    questionFailed,
    /** An empty transaction was answered 200: nothing is waited for. Where it takes other things, it fails in no way. */
    isWell: ({ failingSince: since }: View) => {
      held = null
      locked = null
      if (since !== null) return
      failingSince = null
      failing = NOT_FAILING
    },
    freed,
    putBack,
    /** It counts for nobody. */
    leftOut: (view: View): void => {
      const { failingSince: since, now } = view
      if (since !== null && since > now)
        violated('own trouble counts for nobody (5.11)', `${since} is to come`)
      if (failingSince === null || since === null) return
      failingSince = Math.max(failingSince, since)
      failing = { ...failing, earliest: Math.max(failing.earliest ?? since, since), latest: failingSince }
    },
    basis: ({ now, paused, head, failures, retryAt }: View): Basis => ({
      ...{ now, paused, held, head, failures, retryAt },
      seq: (seq += 1),
    }),
    /** Nobody has it, and what is new up to `upto` is known: it is looked at in time for what is sticky. */
    rests: (view: View, lapsing: readonly Lapsing[], upto: number): void => {
      if (wentBack || view.paused || view.owner !== null || held?.kind !== 'backoff') return
      const by = lookBy(failing, lapsing, { now: view.now, upto })
      if (by === null || (view.lookAt !== null && view.lookAt <= by)) return
      violated('a sticky event is tried in time (5.8)', `it is looked at ${view.lookAt}, and not by ${by}`)
    },
    /** An operator asked for an attempt, and there was none since. */
    pending: (): boolean => pending && !wentBack && held?.kind !== 'retry after',
    forget: () => {
      unanswered = []
      locked = null
      held = null
      failingSince = null
      failing = NOT_FAILING
      wished = []
      pending = false
      wentBack = true
    },
  }
}
