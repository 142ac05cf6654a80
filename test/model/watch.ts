/**
 * Watches a schedule: judges every transaction when it is frozen, every request when it is made, every move
 * of the position, and at the end what was owed.
 */
import { SETTINGS, type FrozenView, type View } from './driver.ts'
import { isGone, type History, type PastEvent } from './history.ts'
import { lapsingIn } from './deadlines.ts'
import { repeatBy, REPEATED } from './repeats.ts'
import type { Told } from './remote.ts'
import { RULES } from './rules.ts'
import { makeWaits, type Basis } from './waits.ts'
import { makeEduWatch } from './watch-edus.ts'
import { isApart } from './watch-edus-apart.ts'

export class Violation extends Error {}

export function violated(rule: string, what: string): never {
  throw new Violation(`${rule}: ${what}`)
}

const DAY = 86_400_000

interface Unanswered extends FrozenView {
  /** Its texts, as they were when it was frozen. */
  texts: string[]
  /** EDUs are searched. */
  edusSearched: boolean
  sends: number
  handed: number
  /** How often it was refused whole, and whether an empty one was answered 200 after the last of these. */
  refusals: number
  cleared: boolean
  /** The last of these was a gateway's. */
  byGateway: boolean
  /** What refused it last. */
  status: number | null
}

/** A whole answer that refuses what was sent. */
const refuses = ({ result }: Told): boolean =>
  result.kind === 'failed' && result.whole === true && ![410, 429].includes(result.status ?? 0)

const isLock = (status: number | null): boolean => status === 401 || status === 403

/** An answer of a proxy, which is hardly ever about what was sent. */
const isOfGateway = (status: number | null): boolean =>
  status !== null && ([502, 503, 504].includes(status) || (status >= 520 && status <= 530))

export type Watch = ReturnType<typeof makeWatch>

export function makeWatch(history: History) {
  const waits = makeWaits()
  const edus = makeEduWatch(history.edus, violated)
  let unanswered: Unanswered | null = null
  /** All bodies that ever went out, by id. */
  const bodies = new Map<string, string>()
  let before: View | null = null
  let latest = 0
  let newestTimeline = 0
  /** Since the last 200 to one that was not empty. */
  let refusals = 0
  /** Time-outs since the last answer to something, or since they taught a limit. */
  let timeouts = 0
  /** How often each PDU was refused alone by a gateway, and by others, and an empty one was answered 200 after that. */
  const alone = new Map<number, { gateway: number; others: number }>()
  /** What was refused alone last, while no empty one was answered after it. */
  let refusedAlone: { pos: number; by: 'gateway' | 'others' } | null = null
  /** What was in a transaction that was refused, and an empty one was answered 200 after that: only these are asked about at once. */
  const suspects = new Set<number>()
  /** What was searched in vain, so that its room could go on. */
  const inVain = new Set<number>()
  function noteVain(view: View): void {
    if (view.unsure >= 2) for (const pos of view.searched) inVain.add(pos)
  }
  /** Where gaps begin that retention opened, or let reach further. */
  const retained = new Set<number>()
  /** All that were ever open, by where they begin: the sweep forgets those that closed long ago. */
  const gone = new Map<number, { from: number; to: number; open: boolean }>()

  /** What lapsed or ended by then stays so when the clock goes back. */
  function seen(now: number): void {
    latest = Math.max(latest, now)
    edus.timeSeen(now)
  }

  /** `lookedAt`: when its holder last looked at the rows. */
  function frozen(view: FrozenView, now: View, lookedAt: number): void {
    if (now.paused) violated('paused', `${view.txnId} is put together after \`pause\` has answered`)
    const texts = view.positions.map((pos) => history.at(pos)?.pdu ?? '')
    const gap = now.gaps.find(({ open }) => open) ?? null
    // A process' own clock may be off; the database's may have been moved since it looked.
    const readTime = Math.min(view.madeAt, view.frozenAt)
    const { apart, apartSince } = now
    noteVain(now)
    const searched = now.searched.filter((pos) => !inVain.has(pos))
    const doubted = now.searched.filter((pos) => {
      const { gateway = 0, others = 0 } = alone.get(pos) ?? {}
      return gateway > 0 && gateway < 3 && others === 0
    })
    const waits = waitsWith(now)
    const at = {
      history,
      view,
      readTime,
      pdus: texts,
      position: now.position,
      gap,
      latest,
      apart,
      apartSince,
      waits,
      searched,
      doubted,
      ofEdus: view.positions.length === 0 && (now.edusSearched || isApart(view.edus)),
      limited: now.limited,
    }
    for (const [name, rule] of Object.entries(RULES)) {
      const wrong = rule(at)
      if (wrong !== null) violated(name, `${view.txnId} with ${view.positions.join(', ')}: ${wrong}`)
    }
    edus.frozen(view, {
      ...{ now, lookedAt, skippedUpTo: history.skippedUpTo(), isSkipWished: history.isSkipWished() },
      pduBytes: texts.reduce((sum, pdu) => sum + Buffer.byteLength(pdu) + 1, 0),
      anyOdd: view.positions.some((pos) => history.at(pos)?.odd === true),
      othersWait:
        gap === null &&
        history
          .waiting(now.position, view.readAt)
          .some((event) => !event.odd && !apart.includes(event.pos) && !waits(event)),
    })
    const timeline = view.positions.filter((_, index) => view.lanes[index] === 't')
    if (timeline.some((pos) => pos <= newestTimeline)) {
      violated('stream order (5.1)', `timeline ${timeline.join(', ')} after ${newestTimeline}`)
    }
    if (unanswered !== null) {
      violated('one unanswered id (I2)', `${view.txnId} while ${unanswered.txnId} has no answer`)
    }
    unanswered = {
      ...view,
      texts,
      edusSearched: now.edusSearched,
      sends: 0,
      handed: 0,
      refusals: 0,
      cleared: false,
      byGateway: false,
      status: null,
    }
  }

  /** `handed`: who ended it takes it to have arrived, maybe. */
  function ended(txnId: string, now: number, { bySkip = false, handed = true } = {}): void {
    if (unanswered?.txnId !== txnId) violated('one unanswered id (I2)', `${txnId} is ended and was not open`)
    if (unanswered.handed > 0 && !bySkip && !mayEnd(unanswered, now)) {
      violated('same id, same bytes (I3)', `${txnId} is ended, and may have been received`)
    }
    edus.gone(txnId, { arrived: handed })
    unanswered = null
  }

  /** Its one EDU is out of its lane; null: it is not durable, and given up. */
  function tookOut(one: { txnId: string; pos: number | null; sure: boolean }): void {
    const { txnId } = one
    if (unanswered?.txnId !== txnId) violated('one unanswered id (I2)', `${txnId} is ended and was not open`)
    if (!unanswered.cleared || unanswered.refusals === 0 || unanswered.positions.length > 0)
      violated('only what was refused alone is set aside (5.9)', `${txnId} was not refused so`)
    edus.tookOut(one)
    unanswered = null
  }

  const takenAway = ({ readAt, positions }: Unanswered) =>
    positions.some((pos) => {
      const event = history.at(pos)
      if (event !== undefined && event.droppedAt > readAt) return true
      const went = [event?.redactedAt, event?.purgedAt, event?.erasedAt]
      return went.some((at) => (at ?? 0) > readAt)
    })
  const mayEnd = (one: Unanswered, now: number) =>
    takenAway(one) ||
    edus.isTakenAway() ||
    (one.cleared && one.refusals > 0) ||
    Math.max(now, latest) - one.frozenAt >= DAY

  /** `stale`: the process that sends it has lost its lease, and may not know. */
  function request(
    { txnId, body }: { txnId: string; body: string },
    given: { now: number; lostMs: number; handed: boolean; basis: Basis | null; stale: boolean },
  ): void {
    const { now, lostMs, handed, basis, stale } = given
    if (isEmpty(body)) {
      const least = unanswered !== null && isSuspect(unanswered) && !unanswered.byGateway ? 1 : 3
      if (!stale && (unanswered === null || unanswered.refusals === 0 || refusals < least))
        violated('an empty transaction asks whose fault it is (5.9)', `${txnId} after ${refusals} refusals`)
      if (bodies.has(txnId)) violated('an empty transaction has a new id (5.9)', txnId)
      bodies.set(txnId, body)
      waits.asks(basis)
      return
    }
    const before = bodies.get(txnId)
    if (before !== undefined && before !== body) violated('same id, same bytes (I3)', txnId)
    if (handed) bodies.set(txnId, body)
    if (unanswered?.txnId !== txnId) {
      // A process that was stopped may repeat what was answered meanwhile (contract 5.1), or send what it froze.
      if (stale) return
      violated('one unanswered id (I2)', `${txnId} goes out unasked`)
    }
    if (unanswered.sends === 0) checkTexts(unanswered, body)
    if (unanswered.sends === 0) edus.sent(txnId, body)
    if (unanswered.handed > 0 && takenAway(unanswered) && !stale && basis?.takenAway === true) {
      violated('redacted, purged or erased (I12)', `${txnId} is repeated with what was taken away`)
    }
    unanswered.sends += 1
    if (handed) unanswered.handed += 1
    if (handed) edus.handed(txnId)
    waits.request(now, basis, lostMs)
  }

  /** It was refused before, among others. */
  const isSuspect = (one: Unanswered): boolean =>
    one.positions.length === 0
      ? one.edusSearched
      : one.lanes === one.lanes.toUpperCase() && one.positions.every((pos) => suspects.has(pos))

  /** A connection is asked for; `inVain`: that is all that comes of it. */
  function connects(
    { now, basis, stale }: { now: number; basis: Basis | null; stale: boolean },
    inVain: boolean,
  ): void {
    if (!stale && basis?.owes === false)
      violated('who is owed nothing is left alone', 'somebody connects to it')
    if (inVain) waits.request(now, basis)
  }

  /** False only where nothing that was taken could be owed to it. */
  const mayOwe = (view: View): boolean =>
    view.openTxn !== null ||
    edus.mayOwe() ||
    view.apart.length + view.waitingRooms.length + view.edusApart.length > 0 ||
    view.gaps.some(({ open }) => open) ||
    waiting(view) ||
    history.all().some((event) => event.stickyUntil !== null)

  function checkTexts({ txnId, texts, positions }: Unanswered, body: string): void {
    for (const [index, pdu] of pdusOf(body).entries()) {
      const event = history.at(positions[index] ?? -1)
      if (pdu === texts[index]) continue
      violated(
        'redacted, purged or erased (I12)',
        `${txnId} has another text for ${positions[index]}${event?.redactedAt == null ? '' : ', which was redacted before'}`,
      )
    }
  }

  /** What limpet wrote down of an attempt. */
  function written(txnId: string, told: Told, at: View, by: { readonly name: string }): void {
    const { result, listed } = told
    if (isEmpty(bodies.get(txnId) ?? '"pdus":[0]}')) {
      if (result.kind === 'answered') waits.isWell(at)
      else
        waits.questionFailed(
          result,
          at,
          isLock(result.status) && unanswered !== null && isLock(unanswered.status),
        )
      if (result.kind === 'answered' && unanswered !== null) {
        unanswered.cleared = true
        for (const pos of unanswered.positions) suspects.add(pos)
        edus.cleared()
      }
      if (result.kind === 'answered' && refusedAlone !== null) {
        const { pos, by } = refusedAlone
        const before = alone.get(pos) ?? { gateway: 0, others: 0 }
        alone.set(pos, { ...before, [by]: before[by] + 1 })
        refusedAlone = null
      }
      return
    }
    if (unanswered?.txnId !== txnId)
      violated('one unanswered id (I2)', `an answer to ${txnId}, which is not open`)
    if (result.kind === 'answered') {
      refusals = 0
      timeouts = 0
    } else if (result.stage === 'timeout') timeouts += 1
    if (refuses(told)) {
      refusals += 1
      unanswered.refusals += 1
      unanswered.cleared = false
      unanswered.status = result.kind === 'failed' ? result.status : null
      unanswered.byGateway = isOfGateway(unanswered.status)
      edus.refused(txnId, unanswered.byGateway ? 'gateway' : 'others', unanswered.positions.length)
    }
    const [pos, ...more] = unanswered.positions
    const isAlone = refuses(told) && pos !== undefined && more.length === 0
    refusedAlone = isAlone ? { pos, by: unanswered.byGateway ? 'gateway' : 'others' } : null
    if (result.kind === 'answered') {
      for (const [index, pos] of unanswered.positions.entries()) {
        const event = history.at(pos)
        event?.told.push({
          ...{ readAt: unanswered.readAt, writtenAt: at.head, at: at.now },
          listed: listed(event.eventId),
        })
        if (unanswered.lanes[index] === 't') newestTimeline = Math.max(newestTimeline, pos)
      }
      edus.answered(txnId)
      unanswered = null
    } else if (at.openTxn !== txnId) {
      const { handed, positions } = unanswered
      const isAside = isOutOfLanes(unanswered)
      const items = positions.length + unanswered.edus.positions.length
      // What was set aside is tried once; what is too large goes in smaller ones.
      const mayBeGone =
        (refuses(told) && (isAside || (result.status === 413 && items > 1))) ||
        (timeouts >= 3 && positions.length > 1)
      if (handed > 0 && !mayBeGone)
        violated('same id, same bytes (I3)', `${txnId} is gone, and may have been received`)
      edus.gone(txnId, { arrived: result.stage === 'timeout' && handed > 0 })
      unanswered = null
      if (result.stage === 'timeout') timeouts = 0
      // What was set aside was tried alone: the destination is in no trouble.
      if (isAside && refuses(told)) return
    }
    waits.written(result, at, by)
  }

  /** After everything that happened: position and gaps only move as they may. */
  function moved(view: View | null, { byRetention = false } = {}): void {
    const from = before
    before = view
    if (view === null) return
    for (const gap of view.gaps) gone.set(gap.from, gap)
    noteVain(view)
    seen(view.now)
    edus.moved(view)
    if (from !== null && view.position < from.position) {
      violated('position only moves forward (I4)', `${from.position} to ${view.position}`)
    }
    const aside = view.setAside.find((one) => from?.searched.includes(one) === true && !isSurelyRefused(one))
    if (aside !== undefined)
      violated(
        'only what was refused alone is set aside (5.9)',
        `${aside} after ${inWords(alone.get(aside))}`,
      )
    const asBefore = from?.position === view.position && from.gaps.length === view.gaps.length
    if (asBefore && from.apart.length === view.apart.length && isSameList(from, view)) return
    const waits = waitsWith(view)
    const lost = history
      .all()
      .find(
        (event) =>
          event.pos <= view.position &&
          isOwed(event) &&
          !skippable(event, view) &&
          !view.apart.includes(event.pos) &&
          !waits(event),
      )
    if (lost !== undefined) {
      violated('position passes only what was sent (5.3)', `${view.position} is past ${lost.pos}`)
    }
    for (const gap of view.gaps) {
      const known = from?.gaps.find((one) => one.from === gap.from && one.to === gap.to)
      if (known === undefined && byRetention) retained.add(gap.from)
      if (known === undefined && !retained.has(gap.from)) checkOpening(gap)
    }
  }

  /** Once will do, but not where a gateway said so. */
  function isSurelyRefused(pos: number): boolean {
    const { gateway = 0, others = 0 } = alone.get(pos) ?? {}
    return others > 0 || gateway >= 3
  }

  /** Its holder keeps it until its lease is over, however long another waits for its row. */
  function takenOver(worker: string, from: string | null, { living }: View): void {
    if (from === null || from === worker || !living.includes(from)) return
    violated(
      'who holds it keeps it (5.1)',
      `${worker.slice(-2)} takes it from ${from.slice(-2)}, which lives`,
    )
  }

  function checkOpening(gap: { from: number; to: number }): void {
    const { threshold_pdus, min_age_ms } = SETTINGS.catchUp
    // What was sent since is counted too.
    const waiting = history.all().filter(({ pos, entitled }) => entitled && pos > gap.from && pos <= gap.to)
    if (waiting.length <= threshold_pdus) {
      violated('no gap without need (5.4)', `${waiting.length} events in (${gap.from}, ${gap.to}]`)
    }
    const age = latest - Math.min(...waiting.map(({ receivedAt }) => receivedAt))
    if (age <= min_age_ms) violated('no gap without need (5.4)', `the oldest is ${age} ms old`)
  }

  /** I6, when everything has settled. `listed`: an answer must have listed each sticky event, and nothing be apart. */
  function settled(view: View | null, { listed }: { listed: boolean }): void {
    if (view === null) return
    seen(view.now)
    if (view.openTxn !== null) violated('settled', `${view.openTxn} is open`)
    if (view.gaps.some(({ open }) => open)) violated('settled', 'a gap is open')
    if (view.lookAt !== null && view.lookAt <= view.now) violated('settled', 'it is due, and nothing is done')
    edus.settled(view, { listed })
    for (const event of history.all()) {
      const isApart = view.apart.includes(event.pos) || waitsWith(view)(event)
      if (isApart && !listed) continue
      if (isOwed(event) && !skippable(event, view)) violated('everything owed arrives (I6)', `${event.pos}`)
      if (!history.isCertainlySticky(event, latest) || !history.inRoomNow(event.room)) continue
      const join = history.joinAfter(event, view.head)
      if (join === null && !event.entitled) continue
      if (join !== null && (event.stickyUntil ?? 0) <= join.at) continue
      if (history.isOfBeforeSkip(join?.from ?? event.pos)) continue
      const since = event.told.filter(({ writtenAt }) => join === null || writtenAt >= join.from)
      if (since.length === 0) violated('every sticky event arrives (I6, I8)', `${event.pos}`)
      const repeats = event.told.filter((told) => !told.listed).length
      if (listed && !since.some((told) => told.listed) && repeats < 6) {
        violated('what is not listed is repeated (5.5)', `${event.pos}`)
      }
    }
  }

  /** Whether something waits that a try now would send. */
  const waiting = (view: View): boolean =>
    history
      .waiting(view.position, view.head)
      .some((event) => !view.apart.includes(event.pos) && !waitsWith(view)(event))

  const isOwed = (event: PastEvent) =>
    event.entitled && event.told.length === 0 && !isGone(event) && !event.givenUp

  /** Something was erased, with these gaps open; or it was taken out of one that has closed since, or is what is left of a room that was overtaken. */
  function erased(pos: number, { gaps }: View): void {
    const all = [...gaps, ...gone.values()]
    for (const event of history.all()) {
      if (event.erasedAt !== pos) continue
      const wasApart = before?.apart.includes(event.pos) === true
      const ofGap = all.some(
        ({ open, from, to }) => (open || wasApart) && event.pos > from && event.pos <= to,
      )
      const wasOvertaken = overtakenRooms.some(({ room, upto }) => event.room === room && event.pos <= upto)
      event.erasedInGap = ofGap || (wasApart && wasOvertaken)
    }
  }

  /** Everything up to `upto` has left the log: at `time`, by a clock that nobody moves, it was old enough. */
  function shortened(upto: number, time: number): void {
    const young = history.all().find(({ pos, takenAt }) => pos <= upto && time - takenAt < SETTINGS.eventsMs)
    if (young !== undefined)
      violated('the log is kept (2)', `${young.pos} has left it after ${time - young.takenAt} ms`)
    const sticky = history
      .all()
      .find((event) => event.pos <= upto && history.isCertainlySticky(event, latest))
    if (sticky !== undefined) violated('the log is kept (2)', `${sticky.pos} has left it, and is sticky`)
  }

  /** Rooms that waited when a part of the log went: what is older there than its newest may be left out. */
  const overtakenRooms: { room: number; upto: number }[] = []
  function overtaken(positions: readonly number[], upto: number): void {
    const [room] = positions.map((pos) => history.at(pos)?.room)
    if (room !== undefined) overtakenRooms.push({ room, upto })
  }

  function gaveUp(positions: readonly number[], time: number, least: number = SETTINGS.newestEventMs): void {
    for (const pos of positions) {
      const event = history.at(pos)
      if (event === undefined || isGone(event)) continue
      const age = time - event.takenAt
      // What is searched is kept as what is unanswered.
      if (age < (before?.searched.includes(pos) === true ? SETTINGS.newestEventMs : least))
        violated('what is owed is kept (2)', `${pos} is given up after ${age} ms`)
      event.givenUp = true
    }
  }

  /** What catch-up may leave out: not a room's newest of the gap, not what we could not fetch. */
  function skippable(event: PastEvent, { gaps }: View): boolean {
    const room = overtakenRooms.find((one) => one.room === event.room && event.pos <= one.upto)
    const gap = [...gaps, ...gone.values()].find(({ from, to }) => event.pos > from && event.pos <= to)
    const to = Math.max(gap?.to ?? 0, room?.upto ?? 0)
    if (to === 0 || event.outside) return false
    return history
      .all()
      .some(
        (other) =>
          other.entitled &&
          (!isGone(other) ||
            (other.purgedAt === null && (other.erasedInGap || other.givenUp || other.told.length > 0))) &&
          other.room === event.room &&
          other.pos > event.pos &&
          other.pos <= to,
      )
  }

  /** An operator gave these up: it is as if they had been acknowledged, and a join asks for them again. */
  function dropped(view: View): void {
    edus.dropped(view)
    for (const pos of before?.apart ?? []) {
      const event = history.at(pos)
      if (event === undefined || view.apart.includes(pos)) continue
      event.told.push({ readAt: view.head, writtenAt: view.head, at: view.now, listed: true })
      // Its transaction is void, whatever it was read up to.
      event.droppedAt = Infinity
    }
  }

  return {
    seen,
    dropped,
    frozen,
    ended,
    request,
    connects,
    written,
    moved,
    takenOver,
    settled,
    shortened,
    gaveUp,
    erased,
    overtaken,
    waiting,
    waits,
    edusWait: edus.waits,
    goodEduWaits: edus.goodWaits,
    badEdus: edus.bad,
    tookOut,
    /** What a process that looks now decides from. */
    basis: (view: View): Basis => {
      edus.looked(view)
      return {
        ...waits.basis(view),
        takenAway: unanswered !== null && takenAway(unanswered),
        owes: mayOwe(view),
        lapsing: lapsingIn(history, view, latest),
      }
    },
    /** Nobody has it any more. `slackMs`: where it is not known yet, it is looked for so long. */
    letGo(view: View, slackMs: number): void {
      const { owner, paused, held, retryAt, lookAt, now } = view
      const by = repeatBy(history, view, latest)
      if (by === null || owner !== null || paused || held || retryAt !== null) return
      if (lookAt !== null && lookAt <= Math.max(by, now + slackMs)) return
      violated(REPEATED, `it is looked at ${lookAt}, and not by ${by}`)
    },
    /** A sweep has found who is owed something. */
    sought(view: View, ids: readonly number[]): void {
      const by = repeatBy(history, view, latest)
      if (by !== null && by <= view.now && !ids.includes(view.id))
        violated(REPEATED, `it is due since ${by}, and no sweep finds it`)
    },
    /** Nobody has it any more, or the fanout is through; what is new up to `upto` was known. */
    rests: (view: View, upto: number): void => {
      waits.rests(view, lapsingIn(history, view, latest), upto)
    },
    /** Returns what puts it back as it is now. */
    save: () => {
      const saved = {
        ...{ before, newestTimeline, refusals },
        unanswered: unanswered === null ? null : { ...unanswered },
      }
      const gaps = { retained: [...retained], gone: [...gone] }
      const putBackEdus = edus.save()
      return () => {
        putBackEdus()
        before = saved.before
        retained.clear()
        for (const from of gaps.retained) retained.add(from)
        gone.clear()
        for (const [from, gap] of gaps.gone) gone.set(from, gap)
        unanswered = saved.unanswered === null ? null : { ...saved.unanswered }
        newestTimeline = saved.newestTimeline
        refusals = saved.refusals
        waits.forget()
      }
    },
  }
}

/** What was set aside, or a half of a search. */
const isOutOfLanes = ({ lanes, edus }: FrozenView): boolean =>
  lanes === '' ? isApart(edus) : lanes === lanes.toUpperCase()

const inWords = (one: { gateway: number; others: number } | undefined): string =>
  one === undefined ? 'no refusal' : `${one.gateway} by a gateway, ${one.others} by others`

/** What of a room that waits is past its cursor. */
const waitsWith =
  ({ waitingRooms }: View) =>
  ({ room, pos }: PastEvent): boolean =>
    waitingRooms.some((one) => one.room === room && pos > one.cursor)

const isSameList = (a: View, b: View): boolean =>
  a.waitingRooms.length === b.waitingRooms.length && a.apart.every((pos) => b.apart.includes(pos))

/** It asks whose fault it is. */
const isEmpty = (body: string): boolean => !body.includes('"edus":[') && pdusOf(body).length === 0

/** The texts of a transaction's PDUs. */
function pdusOf(body: string): string[] {
  const from = body.indexOf('"pdus":[') + '"pdus":['.length
  return (JSON.parse(`[${body.slice(from, -2)}]`) as unknown[]).map((pdu) => JSON.stringify(pdu))
}
