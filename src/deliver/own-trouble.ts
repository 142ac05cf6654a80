/**
 * This process' own trouble (contract 5.11): it is found (`rules/own-trouble.ts`), and then nothing is taken for a destination's fault.
 *
 *     well ──▶ troubled ──▶ well
 *
 * | while it is troubled   | what failed for it is put back as it was, as it was before it began; no destination is taken, and what is held is given back |
 * | another gets answers   | its destinations are the other's. Now and then one connection is made, on which nothing is sent                              |
 * | no other gets answers  | one destination that is due, of those that answered last, is tried by an ordinary attempt                                    |
 * | an attempt gets through, or our key or the authorities are others since a reload | it is over: lookups that failed are forgotten, and those that are due follow as after a start (`wake/ramp.ts`)               |
 *
 * Always: what is put back is only what such a trouble looks like, of the last two minutes, where nothing else has happened to the row since. An
 * unanswered transaction is not touched by that. What is kept for it is in memory: a crash leaves at worst a backoff that has grown.
 */
import { makeFaultNotes } from '../observe/fault-notes.ts'
import type { Log } from '../observe/log.ts'
import type { Clock } from '../pace/clock.ts'
import { makeNudge } from '../pace/nudge.ts'
import { nowMs, type Pool } from '../store/db.ts'
import type { DestinationState } from '../store/delivery/destination.ts'
import type { SelfReport } from '../store/delivery/leases.ts'
import { doesAnotherGetAnswers, leaveTimeOut, readOtherKnown } from '../store/delivery/own-trouble.ts'
import type { AttemptResult } from '../store/delivery/results.ts'
import { beganAt, makePuttingBack, undoableOf, type Undoable } from './put-back.ts'
import { findDue } from '../store/delivery/wake-lists.ts'
import {
  ends,
  FAULT_LIMITS,
  gotOf,
  isOf,
  KNOWN_MS,
  makeFaults,
  type FaultLimits,
  type TroubleKind,
} from './rules/own-trouble.ts'

export interface OwnTroubleNeeds {
  pool: Pool
  clock: Clock
  log: Pick<Log, 'info' | 'warn'>
  /** Our worker's id, as destinations name their owner; null: there is no lease. */
  worker: () => string | null
  isBlocked: (name: string) => boolean
  /** Lookups that failed are made anew. */
  forgetFailures: () => void
  /** One ordinary attempt; resolves when its turn is over. */
  probe: (name: string) => Promise<void>
  /** Whether there is a connection to it, or one can be made; nothing is sent on it. */
  isThere: (name: string) => Promise<boolean>
  /** It began, or ended (null). */
  onChange: (kind: TroubleKind | null) => void
  /** The wait between two probes, ms. */
  probeMs: number
  limits?: FaultLimits
}

export interface OwnTrouble {
  /** What it is; null: this process is well. */
  kind(): TroubleKind | null
  /** False: no destination is taken, and those that are held are given back. */
  mayWork(): boolean
  /** Whether jobs are left to other processes; else a row brings back whom they are for, when it is over. */
  othersServe(): boolean
  /** A 200 came, at that time, ms since the epoch by the database's clock. */
  answered(at: number): void
  /** An attempt failed, which is written down: `row`, from `state`. */
  failed(state: DestinationState, row: AttemptResult): void
  /** What may have caused it is another now: our key, or the authorities that we trust. It is over, until attempts say otherwise. */
  causeChanged(): void
  /** For the other processes, and operators. */
  report(): SelfReport
  /** Until `signal` aborts. */
  run(signal: AbortSignal): Promise<void>
}

interface Trouble {
  kind: TroubleKind
  /** When the first of what it explains began, ms since the epoch. */
  since: number
  others: boolean
  /** Names of those that failed for it, who answered last first. */
  names: string[]
  rounds: number
  /** Since when no other process gets answers, ms since the epoch: that time counts for no destination. Null: another does. */
  aloneSince: number | null
  /** When its time was taken out last, by the monotonic clock. */
  leftOutAt: number
}

/** An answer that another process got says something for so long, ms. */
const SAYS_SOMETHING_MS = 120_000
/** Its time is taken out of `failing_since` at its end, and this often before, ms. */
const LEAVE_OUT_EVERY_MS = 600_000
/** Whether others are known is not asked more often than this, ms. */
const ASK_EVERY_MS = 1_000
/** Due destinations among which those to be probed are. */
const CANDIDATES = 64

export function makeOwnTrouble(needs: OwnTroubleNeeds): OwnTrouble {
  const { pool, clock, log } = needs
  const limits = needs.limits ?? FAULT_LIMITS
  const faults = makeFaults<Undoable>(limits)
  const notes = makeFaultNotes(log)
  const bell = makeNudge(clock)
  let trouble: Trouble | null = null
  /**
   * The last one, for attempts that began in it: one for each destination at most, `late` has those that ended since. After a clock was set back others
   * seem to have begun in it, too, and what is put back is tried at once.
   */
  let before: { kind: TroubleKind; endedAt: number; late: Set<number> } | null = null
  let answeredAt: number | null = null
  let askedAt = -Infinity
  /** When what has not been judged yet failed last. */
  let unjudged: number | null = null
  /** Who was probed in this trouble, until all that are due were. */
  let probed = new Set<string>()
  const undo = makePuttingBack({ pool, log })

  function judge(now: number): void {
    const verdict = faults.verdict(now)
    if (verdict.whose === 'ours') begin(verdict.kind, now)
    else if (verdict.whose === 'ours if these are all') askForOthers(verdict.kind, now)
  }

  /** Fewer than 20: are there others that answered of late, and were not tried? */
  function askForOthers(kind: TroubleKind, now: number): void {
    if (clock.monotonic() - askedAt < ASK_EVERY_MS) {
      if (unjudged === null) bell.nudge()
      unjudged = now
      return
    }
    askedAt = clock.monotonic()
    const tried = faults.tried().map(({ destination }) => destination)
    const { windowMs } = limits
    void notes.note('asking who else answered of late', async () => {
      const names = await readOtherKnown(pool, { tried, worker: needs.worker(), knownMs: KNOWN_MS, windowMs })
      if (names.some((name) => !needs.isBlocked(name)) || trouble !== null) return
      const verdict = faults.verdict(now)
      if (verdict.whose !== 'theirs' && verdict.kind === kind) begin(kind, now)
    })
  }

  function begin(kind: TroubleKind, now: number): void {
    const them = faults.takeOf(kind, now)
    undo.forget()
    const names = them
      .filter(({ known }) => known)
      .sort((a, b) => b.lastSuccess - a.lastSuccess)
      .map(({ name }) => name)
    const since = Math.min(...them.map((one) => beganAt(one, now)))
    const leftOutAt = clock.monotonic()
    trouble = { kind, since, others: false, names, rounds: 0, aloneSince: since, leftOutAt }
    probed = new Set()
    log.warn(
      { kind, destinations: them.length, since },
      kind === 'no_answer'
        ? 'no destination can be reached: taken for our own trouble, so no backoff grows until one answers'
        : 'every destination answers 401: taken for our own trouble, so no backoff grows until one answers 200',
    )
    undo.soon(them, now)
    needs.onChange(kind)
    bell.nudge()
  }

  function end(at: number): void {
    if (trouble === null) return
    const { kind, since, aloneSince } = trouble
    before = { kind, endedAt: at, late: new Set() }
    trouble = null
    log.info({ kind, since }, 'our own trouble is over')
    needs.forgetFailures()
    needs.onChange(null)
    void leaveOutFrom(aloneSince)
  }

  function isPartOfOne({ got, destination }: Undoable, startedAt: number): boolean {
    if (trouble !== null) return isOf(trouble.kind, got)
    if (before === null || !isOf(before.kind, got) || startedAt > before.endedAt) return false
    const isFirst = !before.late.has(destination)
    before.late.add(destination)
    return isFirst
  }

  /** It is undone where it is part of a trouble that is, or was when it began; else it may be part of one that nobody knows of yet. */
  function failed(state: DestinationState, row: AttemptResult): void {
    const got = gotOf({ stage: row.errorKind, status: row.status })
    if (got === null) return
    const one = undoableOf(state, row, got, faults.last(state.id) ?? undo.last(state.id))
    if (isPartOfOne(one, row.startedAt)) {
      undo.soon([one], one.at)
      return
    }
    if (trouble !== null && ends(trouble.kind, got)) end(one.at)
    faults.failed(one)
    if (trouble === null && got !== 'other') judge(one.at)
  }

  async function round(at: Trouble): Promise<void> {
    at.rounds += 1
    const { since } = at
    at.others = await doesAnotherGetAnswers(pool, {
      ...{ worker: needs.worker(), began: since, withinMs: SAYS_SOMETHING_MS },
    })
    await countAlone(at)
    // What is remembered of names that could not be looked up must not decide.
    needs.forgetFailures()
    if (at.others) return look(at)
    const name = await candidate()
    if (name === null) return
    probed.add(name)
    await needs.probe(name)
  }

  async function countAlone(at: Trouble): Promise<void> {
    const { others, aloneSince } = at
    if (!others) at.aloneSince ??= await nowMs(pool)
    else at.aloneSince = null
    const isLong = clock.monotonic() - at.leftOutAt >= LEAVE_OUT_EVERY_MS
    // Where another one got answers from the first look on, there is nothing to leave out.
    if (others ? at.rounds === 1 : !isLong) return
    at.leftOutAt = clock.monotonic()
    await leaveOutFrom(aloneSince)
  }

  async function leaveOutFrom(began: number | null): Promise<void> {
    if (began === null) return
    await notes.note('leaving out the time of our own trouble', () => leaveTimeOut(pool, began))
  }

  /** Of those that are due, who answered last, and was not probed yet; null: nobody is due. */
  async function candidate(): Promise<string | null> {
    const due = (await findDue(pool, CANDIDATES)).filter(({ name }) => !needs.isBlocked(name))
    const fresh = due.find(({ name }) => !probed.has(name))
    if (fresh === undefined) probed = new Set()
    return (fresh ?? due[0])?.name ?? null
  }

  /** Nobody may be tried: a connection says that the network is there, but nothing of our key. */
  async function look(at: Trouble): Promise<void> {
    if (at.kind !== 'no_answer' || at.names.length === 0) return
    const name = at.names[at.rounds % at.names.length] ?? ''
    if (needs.isBlocked(name) || !(await needs.isThere(name)) || trouble !== at) return
    end(await nowMs(pool))
  }

  async function overIfStill(was: Trouble): Promise<void> {
    const now = await nowMs(pool)
    if (trouble === was) end(now)
  }

  const aloneSince = (): number | null => trouble?.aloneSince ?? null

  async function next(): Promise<void> {
    const now = trouble
    if (now !== null) await notes.note('looking whether our own trouble is over', () => round(now))
    else if (unjudged !== null && clock.monotonic() - askedAt >= ASK_EVERY_MS) {
      const at = unjudged
      unjudged = null
      judge(at)
    }
  }

  return {
    kind: () => trouble?.kind ?? null,
    mayWork: () => trouble === null,
    othersServe: () => trouble === null || trouble.others,
    answered(at) {
      answeredAt = at
      faults.answered(at)
      if (trouble !== null) end(at)
    },
    failed,
    causeChanged() {
      const was = trouble
      if (was === null) return
      void notes.note('ending our own trouble, as what may have caused it is another', () => overIfStill(was))
    },
    report: () => ({
      answeredAt,
      trouble: trouble === null ? null : { kind: trouble.kind, since: trouble.since },
    }),
    async run(signal) {
      for (;;) {
        const ms = unjudged === null ? IDLE_MS : ASK_EVERY_MS
        await bell.wait(trouble === null ? ms : needs.probeMs, signal)
        if (signal.aborted) break
        await next()
      }
      await undo.idle()
      await leaveOutFrom(aloneSince())
    },
  }
}

/** Nothing is done while it is well, and its beginning ends the wait. */
const IDLE_MS = 3_600_000
