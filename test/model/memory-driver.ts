/**
 * limpet in memory: the real pure functions between the tables of `memory-store.ts`, in the order of
 * `src/deliver/{step,transact,attempt}.ts`.
 */
import { afterFailure, afterSuccess, nextAttempt, withoutImpossibleWaits } from '../../src/deliver/backoff.ts'
import { growsTo, nextBatch, worthCounting } from '../../src/deliver/catch-up.ts'
import { judge, nextTimeout, type Judged } from '../../src/deliver/outcome.ts'
import { planTransaction, type Plan, type Reading } from '../../src/deliver/plan.ts'
import type { StoredAcknowledges } from '../../src/store/destination-state.ts'
import type { SendResult } from '../../src/wire/send.ts'
import { MAX_PDU_BYTES, SETTINGS, type Driver, type Hooks } from './driver.ts'
import { makeMemoryStore, type Bugs, type Open } from './memory-store.ts'

/** The pure functions that a planted bug may stand in for. */
export interface Parts {
  planTransaction: typeof planTransaction
  worthCounting: typeof worthCounting
}

const DAY = 86_400_000
const REPEATS_TO_THE_SILENT = 5

type State = NonNullable<ReturnType<ReturnType<typeof makeMemoryStore>['load']>>
type Looked = 'sent' | 'nothing' | 'lost'

export function makeMemoryDriver(bugs: Bugs = {}, planted: Partial<Parts> = {}): Driver {
  const parts: Parts = { planTransaction, worthCounting, ...planted }
  const store = makeMemoryStore(bugs)
  let transactions = 0
  // Only for the planted bug `lateAcknowledgement`.
  let late: (() => void) | null = null

  async function look(hooks: Hooks): Promise<Looked> {
    const id = store.worker()
    for (let looks = 0; looks < 50; looks += 1) {
      const state = store.load(id)
      if (state === null) return 'nothing'
      if (!state.held) return 'lost'
      const step = await takeStep(id, state, hooks)
      if (step !== 'again') return step
    }
    throw new Error('a look never ends')
  }

  async function takeStep(id: number, state: State, hooks: Hooks): Promise<Looked | 'again'> {
    const letGo = (lookAt: number | null, position: number | null): Looked => {
      store.release(id, lookAt, position)
      return 'nothing'
    }
    if (state.paused) return letGo(null, null)
    const due = nextAttempt(withoutImpossibleWaits(state.waiting, state.now, SETTINGS.backoff), state.now)
    if (due > state.now) return letGo(due, null)
    if (state.open !== null) return repeatOpen(id, state, state.open, hooks)
    const to = state.gap === null ? null : growsTo(state.gap, state.head)
    if (state.gap !== null && to !== null) {
      store.growGap(id, to)
      state.gap.to = to
    }
    const reading = read(state)
    if (state.gap === null && openGapIfDue(id, state, reading)) return 'again'
    const limits = { maxPdus: SETTINGS.maxPdus, maxBytes: MAX_PDU_BYTES }
    const plan = parts.planTransaction(reading, limits)
    if (plan.do === 'send') return sendNew(id, state, plan, hooks)
    store.dropDoneJoins(state.now, state.head)
    if (plan.do === 'move' && plan.acknowledges.closesGap && state.gap !== null) {
      const { position } = plan.acknowledges
      store.moveOn(id, state.position, position, { id: state.gap.id, cursor: position })
      return 'again'
    }
    return letGo(state.unlistedAt, plan.do === 'move' ? plan.acknowledges.position : null)
  }

  function read(state: State): Reading {
    const { now, head, position, gap, owed } = state
    const limit = SETTINGS.maxPdus + 1
    const due = state.unlistedAt !== null && state.unlistedAt <= now
    const gapRooms = gap === null ? [] : store.gapRooms(gap, limit)
    const timeline = gap === null ? store.timeline(position, head, limit) : []
    return {
      now: bugs.lapseUnchecked === true ? 0 : now,
      position,
      head,
      gap,
      owed,
      sticky: owed.length > 0 ? store.owedSticky(now, limit) : [],
      unlisted: due ? store.unlisted(now, limit) : [],
      gapRooms,
      timeline,
      complete: { gapRooms: gapRooms.length < limit, timeline: timeline.length < limit },
    }
  }

  function openGapIfDue(id: number, { position, head, now }: State, { timeline }: Reading): boolean {
    const oldestReceived = timeline[0]?.receivedTs ?? null
    const count = parts.worthCounting({ position, head, oldestReceived }, now, SETTINGS.catchUp)
    if (count === null || store.timeline(position, head, count).length < count) return false
    return store.openGap(id, position, head)
  }

  async function sendNew(
    id: number,
    state: State,
    { pdus, soonestLapse, acknowledges: moves }: Extract<Plan, { do: 'send' }>,
    hooks: Hooks,
  ): Promise<Looked | 'again'> {
    await hooks.beforeFreeze()
    const acknowledges: StoredAcknowledges = {
      positions: pdus.map(({ pos }) => pos),
      lanes: pdus.map(({ lane }) => lane).join(''),
      eventIds: pdus.map(({ eventId }) => eventId),
      fromPos: state.position,
      toPos: moves.position,
      gap: state.gap?.id ?? null,
      gapCursor: moves.gapCursor,
      closesGap: moves.closesGap,
      sticky: moves.sticky,
    }
    const txnId = `txn${(transactions += 1)}`
    const body = `{"origin":"home","origin_server_ts":${state.now},"pdus":[${pdus.map(({ pdu }) => pdu).join(',')}]}`
    late = null
    const made: Open = { txnId, body, createdAt: 0, worker: String(id), acknowledges }
    const startedAt = store.freeze(id, { ...made, readAt: state.head, soonestLapse })
    if (startedAt === null) return 'again'
    const { positions, lanes } = acknowledges
    await hooks.frozen({ txnId, body, positions, lanes, readAt: state.head, frozenAt: startedAt })
    return deliver(
      id,
      state,
      { txnId, body, acknowledges, startedAt, first: true, afterTakeover: false },
      hooks,
    )
  }

  async function repeatOpen(id: number, state: State, open: Open, hooks: Hooks): Promise<Looked | 'again'> {
    const { txnId, body, acknowledges } = open
    if (body === null || state.now - open.createdAt >= DAY) {
      store.drop(id, txnId)
      return 'again'
    }
    const startedAt = store.repeat(id, txnId)
    if (startedAt === null) return 'again'
    const afterTakeover = open.worker !== String(id)
    return deliver(id, state, { txnId, body, acknowledges, startedAt, first: false, afterTakeover }, hooks)
  }

  async function deliver(
    id: number,
    state: State,
    at: {
      txnId: string
      body: string
      acknowledges: StoredAcknowledges
      startedAt: number
      first: boolean
      afterTakeover: boolean
    },
    hooks: Hooks,
  ): Promise<Looked> {
    const result = await hooks.send({ txnId: at.txnId, body: at.body })
    await hooks.beforeWritten()
    if (result.kind === 'failed' && result.stage === 'aborted') return 'lost'
    const judged = judge(result, { ...at.acknowledges, firstAttempt: at.first })
    const answered = judged.kind === 'answered'
    const finishedAt = at.startedAt + Math.round(result.durationMs)
    const waiting = answered
      ? afterSuccess(state.waiting, at.startedAt)
      : afterFailure(
          state.waiting,
          { ...judged, startedAt: at.startedAt, afterTakeover: at.afterTakeover },
          finishedAt,
          { settings: SETTINGS.backoff, random: () => 0.5 },
        )
    const write = () =>
      store.write(id, {
        txnId: at.txnId,
        startedAt: at.startedAt,
        acknowledges: at.acknowledges,
        answered,
        discard: !answered && judged.discard,
        waiting,
        failuresBefore: state.waiting.failures,
        heldBy: judged.kind === 'busy' || judged.kind === 'gone',
        timeoutMs: nextTimeout(state.timeoutMs, SETTINGS.requestTimeoutMs, {
          timedOut: !answered && judged.timedOut,
          answered,
          durationMs: result.durationMs,
        }),
        lists: state.lists || (answered && judged.listsAny),
      }) && writeTheRest(state, at.acknowledges, judged, result)
    const from = state.position
    const written = write()
    // The next freeze would carry it; a worker that dies before takes it along.
    if (bugs.lateAcknowledgement === true && answered) late = () => store.loseAcknowledgement(from)
    return written ? 'sent' : 'lost'
  }

  function writeTheRest(
    state: State,
    acknowledges: StoredAcknowledges,
    judged: Judged,
    { durationMs }: SendResult,
  ): true {
    const answered = judged.kind === 'answered'
    if (acknowledges.gap !== null) {
      const timedOut = judged.kind !== 'answered' && judged.timedOut
      const batch = nextBatch(state.gap?.batch ?? 1, { durationMs, timedOut })
      store.moveGap(acknowledges.gap, {
        cursor: answered ? acknowledges.gapCursor : null,
        batch: answered || timedOut ? batch : null,
        closes: answered && acknowledges.closesGap,
      })
    }
    if (judged.kind !== 'answered') return true
    store.moveStickyCursors(acknowledges.sticky)
    const replays = new Set(acknowledges.positions.filter((_, index) => acknowledges.lanes[index] === 's'))
    const unlisted =
      bugs.unlistedOnlyReplays === true ? judged.unlisted.filter((pos) => replays.has(pos)) : judged.unlisted
    store.noteListed(judged.listed)
    store.noteUnlisted(unlisted, state.lists || judged.listsAny ? Infinity : REPEATS_TO_THE_SILENT)
    return true
  }

  return {
    append: (items) => Promise.resolve(store.append(items)),
    now: () => Promise.resolve(store.now()),
    moveClock: (byMs) => {
      store.moveClock(byMs)
      return Promise.resolve()
    },
    wish: (wish) => Promise.resolve(store.wish(wish)),
    serverUp: () => {
      store.advise(true)
      return Promise.resolve()
    },
    newWorker: () => {
      late?.()
      late = null
      store.newWorker()
      return Promise.resolve()
    },
    look,
    view: () => Promise.resolve(store.view()),
  }
}
