/**
 * Watches the EDUs of a schedule (contract 3 and 5.10): what of them is in a transaction, what its cursors say, and what a cursor passes.
 *
 * What is wrong is a sentence; `watch.ts` makes a violation of it.
 */
import { AGO_MS } from './edu-items.ts'
import { MAX_PDU_BYTES, SETTINGS, type FrozenView, type View } from './driver.ts'
import { isDone, type PastEdu, type PastEdus } from './past-edus.ts'
import { numbersIn } from './remote.ts'
import { isApart, makeApartWatch } from './watch-edus-apart.ts'

const { maxEdus, off } = SETTINGS.edus
const { long_outage_ms: LONG_MS } = SETTINGS.deadline
/** More device lists of one user that wait are one. */
const MOST_DEVICE_LISTS = 20
/** What stands around and between EDUs. */
const SLACK_BYTES = 60

/** What goes wrong: the promise, and how. */
export type Wrong = [promise: string, what: string] | null

export type Fail = (promise: string, what: string) => never

/** What was so when a transaction was put together. */
interface Moment {
  /** The earliest that it can have been. */
  since: number
  /** How far the stream was read. */
  readAt: number
}

/** What is beside the EDUs of a transaction. */
export interface BesideEdus {
  now: View
  /** When its rows were looked at. */
  lookedAt: number
  /** Up to where an operator's skip has been carried out, and whether one is still to be. */
  skippedUpTo: number
  isSkipWished: boolean
  /** Bytes of its PDUs, with commas; whether one of them goes alone; and whether an event waits that could have gone and is in none of it. */
  pduBytes: number
  anyOdd: boolean
  othersWait: boolean
}

export function makeEduWatch(edus: PastEdus, fail: Fail) {
  const aside = makeApartWatch(edus, fail)
  /** The latest that the clock has said. */
  let latest = 0
  /** When somebody looked last. */
  let lookedAt = Infinity
  /** The cursors, as they were seen last. */
  let seen = { durable: 0, ephemeral: 0 }
  /** What came up to there may be left out as the destination has failed for long. */
  let outageUpTo = 0
  let lastWasAlone = false
  /** Of the transaction that is unanswered: what an answer passes. */
  let passes: PastEdu[] = []
  let open: { txnId: string; edus: PastEdu[]; readAt: number } | null = null

  const laneOf = (durable: boolean) => edus.ours(durable)

  /** Why it may be left out; null: it may not. */
  function whyLeftOut(edu: PastEdu, { since, readAt }: Moment): string | null {
    if (isDone(edu)) return 'done'
    if (off.has(edu.eduType)) return 'off'
    if (edu.expiresAt <= latest) return 'over'
    if (!edu.durable && edu.pos <= outageUpTo) return 'outage'
    const later = laneOf(edu.durable).filter(({ pos }) => pos > edu.pos && pos <= readAt)
    const replaces = ({ eduType, key, expiresAt }: PastEdu) =>
      edu.key !== null && eduType === edu.eduType && key === edu.key && expiresAt > since
    if (later.some(replaces)) return 'replaced'
    const ofUser = (one: PastEdu) => edu.deviceListOf !== null && one.deviceListOf === edu.deviceListOf
    const pending = laneOf(edu.durable).filter((one) => ofUser(one) && !isDone(one) && one.pos <= readAt)
    return pending.length > MOST_DEVICE_LISTS && later.some(ofUser) ? 'collapsed' : null
  }

  /** It is owed and could go, whatever the clock says. */
  function isOwedNow(edu: PastEdu, readAt: number): boolean {
    const others = laneOf(edu.durable).filter(({ pos }) => pos !== edu.pos && pos <= readAt)
    const isAlike = ({ eduType, key, deviceListOf }: PastEdu) =>
      (edu.key !== null && eduType === edu.eduType && key === edu.key) ||
      (edu.deviceListOf !== null && deviceListOf === edu.deviceListOf)
    return whyLeftOut(edu, { since: Infinity, readAt }) === null && edu.pos <= readAt && !others.some(isAlike)
  }

  function frozen(view: FrozenView, beside: BesideEdus): void {
    const { txnId, frozenAt, edus: its } = view
    const say = (promise: string, what: string) =>
      fail(promise, `${txnId} with EDUs ${its.positions.join(', ')}: ${what}`)
    const them = its.positions.map((pos) => edus.at(pos) ?? say('EDUs of ours', `${pos} never was one`))
    if (its.count > maxEdus) say('limits of EDUs (5.1)', `it has ${its.count}`)
    for (const edu of them) {
      const wrong = whatIsWrongWith(edu, view, beside)
      if (wrong !== null) say(wrong[0], `${edu.pos} ${wrong[1]}`)
    }
    const moment = { since: Math.min(view.madeAt, frozenAt, beside.lookedAt), readAt: view.readAt }
    passes = []
    aside.frozen(view, them, { now: beside.now, latest, pdus: view.positions.length })
    for (const durable of isApart(its) ? [] : [true, false]) {
      const cursor = durable ? beside.now.durablePos : beside.now.ephemeralPos
      const to = (durable ? its.durableTo : its.ephemeralTo) ?? cursor
      const its_ = them.filter((one) => one.durable === durable)
      for (const [i, { pos }] of its_.entries()) {
        if (pos <= cursor) say('an EDU once (5.10)', `${pos} is behind the cursor ${cursor}`)
        if (pos > to) say('what goes is acknowledged (5.3)', `${pos} is after the cursor ${to}`)
        if (i > 0 && pos <= (its_[i - 1]?.pos ?? 0)) say('stream order of EDUs (5.1)', `${pos}`)
      }
      for (const edu of laneOf(durable)) {
        if (edu.pos > to || isDone(edu) || its_.includes(edu)) continue
        const why = whyLeftOut(edu, moment)
        if (why === null) say(PASSES, `its answer would pass ${edu.pos}`)
        else passes.push(edu)
      }
    }
    const late = whoWaitsInVain(them, view, beside)
    if (late !== null) say('no lane waits for another (5.10)', late)
    lastWasAlone = its.as === 'alone'
    open = { txnId, edus: them, readAt: view.readAt }
  }

  function whatIsWrongWith(
    edu: PastEdu,
    { txnId, frozenAt, edus: its }: FrozenView,
    beside: BesideEdus,
  ): Wrong {
    if (!edu.entitled) return ['EDUs go to who is entitled (5.10)', 'is not for us']
    if (edu.forgottenAt !== null && !edu.durable)
      return ['a purge forgets EDUs (3)', 'is of a room that was purged']
    if (edu.expiresAt <= frozenAt)
      return ['EDUs in their time (5.10)', `was over ${frozenAt - edu.expiresAt} ms before`]
    if (edu.told) return ['an EDU once (5.10)', 'was acknowledged before']
    if (edu.pos <= beside.skippedUpTo) return ['skipped by an operator (5.2)', 'was given up']
    if (off.has(edu.eduType)) return ['types that are switched off (2)', 'is of one']
    const [other] = [...edu.ids].filter((id) => id !== txnId)
    if (!edu.durable && other !== undefined)
      return ['what is ephemeral goes under one id (5.2)', `may have arrived with ${other}`]
    if (edu.alone && (its.positions.length > 1 || beside.pduBytes > 0))
      return ['what is too large goes alone (3)', 'has others beside it']
    return null
  }

  /** Something of a lane that could have gone with it, and did not; or PDUs, where only EDUs go. */
  function whoWaitsInVain(them: readonly PastEdu[], view: FrozenView, beside: BesideEdus): string | null {
    const { now } = beside
    const isAlone = view.edus.as === 'alone'
    // What is searched takes turns with the rest, and what was set aside goes when it is due.
    if (now.edusSearched || isApart(view.edus)) return null
    if (isAlone && lastWasAlone && beside.othersWait) return 'two that go alone, one after the other'
    // Halves of a search and what was set aside go without EDUs; who follows the log does not look at all rows.
    if (isAlone || beside.anyOdd || view.steady || view.lanes !== view.lanes.toLowerCase()) return null
    if (now.limited || now.failingSince !== null || beside.isSkipWished) return null
    if (view.positions.length === 0 && beside.othersWait) return 'only EDUs go, and an event waits'
    const bytesOf = (all: readonly PastEdu[]) => all.reduce((sum, { bytes }) => sum + bytes + 1, 0)
    const all = bytesOf(them) + beside.pduBytes
    const durable = them.filter((one) => one.durable)
    for (const isDurable of [true, false]) {
      const cursor = isDurable ? now.durablePos : now.ephemeralPos
      const next = laneOf(isDurable).find((one) => one.pos > cursor && !isDone(one) && !them.includes(one))
      if (next === undefined || next.alone || !isOwedNow(next, view.readAt)) continue
      if (all + next.bytes + SLACK_BYTES > MAX_PDU_BYTES) continue
      // Each leaves the other a part; and PDUs have half of the body.
      const fits = isDurable
        ? bytesOf(durable) + next.bytes + MAX_PDU_BYTES / 5 + SLACK_BYTES <= MAX_PDU_BYTES / 2 &&
          durable.length + 1 < maxEdus
        : durable.length === them.length && next.bytes + SLACK_BYTES <= MAX_PDU_BYTES / 5
      if (fits) return `${next.pos} waits, which has place in it`
    }
    return null
  }

  /** The body of what was frozen goes out for the first time. */
  function sent(txnId: string, body: string): void {
    if (open?.txnId !== txnId) return
    const said = JSON.parse(body) as Body
    const given = said.edus ?? []
    const say = (what: string) => fail('a transaction holds what was frozen (5.2)', `${txnId}: ${what}`)
    if (given.length > maxEdus) say(`${given.length} EDUs`)
    const numbers = given.map((edu) => numbersIn(edu))
    const should = open.edus.map(({ n }) => n)
    if (numbers.flat().toSorted(byNumber).join() !== should.toSorted(byNumber).join())
      say(`it holds EDUs ${numbers.flat().join(', ')}, and not ${should.join(', ')}`)
    // Receipts and presence are packed together, behind all others.
    const inOrder = open.edus.filter(({ eduType }) => !isPacked(eduType)).map(({ n }) => n)
    const single = given.flatMap(({ edu_type: type }, i) => (isPacked(type) ? [] : (numbers[i] ?? [])))
    if (inOrder.join() !== single.join()) say(`${single.join(', ')} in place of ${inOrder.join(', ')}`)
    for (const { last_active_ago: ago, n } of given.flatMap(({ content }) => content.push ?? [])) {
      const waited = Math.max(0, said.origin_server_ts - (edus.byNumber(n)?.receivedAt ?? 0))
      if (ago !== AGO_MS + waited) say(`${n} was active ${ago} ms ago, and waited ${waited} ms`)
    }
    const bytes = Buffer.byteLength(body)
    if (bytes > SETTINGS.maxBodyBytes && said.pdus.length + given.length > 1) say(`it has ${bytes} bytes`)
  }

  /** It may have arrived from now on. */
  function handed(txnId: string): void {
    if (open?.txnId !== txnId) return
    for (const edu of open.edus) edu.ids = new Set([...edu.ids, txnId])
  }

  /** It was answered. */
  function answered(txnId: string): void {
    if (open?.txnId !== txnId) return
    for (const edu of open.edus) edu.told = true
    aside.answered(open.edus)
    for (const edu of passes) edu.leftOut = true
    open = null
  }

  /** It is no longer open, and no answer to it was written down. `arrived`: it may have arrived. */
  function gone(txnId: string, { arrived }: { arrived: boolean }): void {
    if (open?.txnId !== txnId) return
    if (arrived) for (const edu of open.edus) edu.passed = true
    // The ephemeral cursor is past what these have replaced, too.
    if (arrived) for (const edu of passes) if (!edu.durable) edu.leftOut = true
    open = null
  }

  /** It was refused whole: it was read, and nothing of it was taken. */
  function refused(txnId: string, by: 'gateway' | 'others', pdus: number): void {
    if (open?.txnId !== txnId) return
    aside.refused(open.edus, by, pdus)
    for (const edu of open.edus) edu.ids = new Set([...edu.ids].filter((id) => id !== txnId))
  }

  /** An empty transaction was answered 200, and it had held nothing else: it is out of its lane. Null: it is not durable, and given up. */
  function tookOut({ txnId, pos, sure }: { txnId: string; pos: number | null; sure: boolean }): void {
    if (open?.txnId !== txnId) return
    aside.tookOut(open.edus, { pos, sure })
    for (const edu of passes) edu.leftOut = true
    open = null
  }

  /** After everything that happened. */
  function moved(view: View): void {
    latest = Math.max(latest, view.now)
    const { durablePos, ephemeralPos } = view
    aside.moved(view, latest)
    const was = seen
    seen = { durable: durablePos, ephemeral: ephemeralPos }
    for (const [durable, before, cursor] of [
      [true, was.durable, durablePos],
      [false, was.ephemeral, ephemeralPos],
    ] as const) {
      if (cursor < before) fail('cursors of EDUs only move forward (I4)', `${before} to ${cursor}`)
      if (cursor === before) continue
      const passed = laneOf(durable).filter((edu) => edu.pos <= cursor && !isDone(edu))
      const moment = { since: Math.min(lookedAt, view.now), readAt: view.head }
      const lost = passed.find((edu) => whyLeftOut(edu, moment) === null)
      if (lost !== undefined) fail(PASSES, `${cursor} is past ${lost.pos}`)
      for (const edu of passed) edu.leftOut = true
    }
  }

  return {
    frozen,
    sent,
    handed,
    answered,
    gone,
    refused,
    tookOut,
    cleared: () => {
      aside.cleared()
    },
    dropped: (view: View) => {
      aside.dropped(view)
    },
    moved,
    /** A process looks at its rows, and may decide from them. */
    looked({ now, head, failingSince }: View): void {
      latest = Math.max(latest, now)
      lookedAt = now
      if (failingSince !== null && latest - failingSince > LONG_MS) outageUpTo = Math.max(outageUpTo, head)
    },
    timeSeen(now: number): void {
      latest = Math.max(latest, now)
    },
    /** Something of it was purged after it was planned. */
    isTakenAway: (): boolean =>
      open?.edus.some(
        (edu) => (!edu.durable && (edu.forgottenAt ?? 0) > (open?.readAt ?? 0)) || edu.dropped,
      ) === true,
    /** False: nothing of them can be owed. */
    mayOwe: (): boolean => edus.all().some((edu) => edu.entitled && !edu.told && !edu.leftOut),
    /** Something is certainly owed, and goes without a wait. */
    waits: ({ head }: View): boolean =>
      edus.all().some((edu) => whyLeftOut(edu, { since: latest, readAt: head }) === null),
    /** Everything has settled. */
    settled({ head, edusSearched }: View, { listed }: { listed: boolean }): void {
      for (const edu of edus.all()) {
        // A search that has used its steps goes on in an hour.
        const mayWait = edusSearched && !listed
        if (!mayWait && whyLeftOut(edu, { since: latest, readAt: head }) === null)
          fail('every EDU arrives (5.10)', `${edu.pos}, ${edu.eduType}`)
        if (listed && edu.apart !== null)
          fail('what is set aside is tried again (5.9)', `${edu.pos} is apart still`)
      }
    },
    /** Something durable is owed that is not refused. */
    goodWaits: ({ head }: View, isBad: (n: number) => boolean): PastEdu | null =>
      edus
        .ours(true)
        .find((edu) => !isBad(edu.n) && whyLeftOut(edu, { since: latest, readAt: head }) === null) ?? null,
    /** Durable ones that are, and of which nothing is concluded. */
    bad: (isBad: (n: number) => boolean): number =>
      edus.ours(true).filter((edu) => isBad(edu.n) && (!isDone(edu) || edu.apart === 'doubtful')).length,
    save: () => {
      const putBackAside = aside.save()
      const saved = { seen, outageUpTo, lastWasAlone, passes: passes.map(({ pos }) => pos) }
      const was = open === null ? null : { ...open, edus: open.edus.map(({ pos }) => pos) }
      const these = (positions: readonly number[]) => positions.flatMap((pos) => edus.at(pos) ?? [])
      // After the history is put back, which has made its EDUs anew.
      return () => {
        putBackAside()
        ;({ seen, outageUpTo, lastWasAlone } = saved)
        passes = these(saved.passes)
        open = was === null ? null : { ...was, edus: these(was.edus) }
      }
    },
  }
}

const PASSES = 'a cursor of EDUs passes only what was sent (5.3)'

interface Body {
  origin_server_ts: number
  pdus: unknown[]
  edus?: { edu_type: string; content: { push?: { last_active_ago: number; n: number }[] } }[]
}

const isPacked = (eduType: string): boolean => eduType === 'm.receipt' || eduType === 'm.presence'

const byNumber = (a: number, b: number): number => a - b
