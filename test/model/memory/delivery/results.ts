/** `store/{attempt-results,replays,gaps}.ts`: what an answer is written down as, and how a gap goes on. */
import type { Isolation } from '../../../../src/store/isolation.ts'
import type { AttemptResult } from '../../../../src/store/delivery/results.ts'
import { forgottenAfter, headOf, openGapOf, owedTo, putGap, replayOf } from '../rules.ts'
import { keyOf } from '../rows.ts'
import { held } from './leases.ts'
import { noteAttempt } from './transactions.ts'
import { twin, type Call, type Twins } from '../statement.ts'

/** As `dropTransaction` sends it. */
export interface DropInput {
  destination: number
  worker: string
  fence: number
  txnId: string
  /** It may have arrived. */
  handed: boolean
  ends: true
}

/** As `writeAttemptResults` sends it. */
export type ResultInput = Omit<AttemptResult, 'held' | 'acknowledges'> & {
  destination: number
  worker: string
  fence: number
  ends: boolean
  positions: number[]
  lanes: string
  fromPos: number
  toPos: number
  durableTo: number | null
  ephemeralTo: number | null
}

const NO_WAITS = {
  failures: 0,
  failingSince: null,
  retryAt: null,
  retryInterval: null,
  holdKind: null,
  holdUntil: null,
  adviceAfter: null,
  adviceStep: null,
  triedAt: null,
  deadlineTries: [],
}

/** As `withoutRefusals` of `src/store/waits.ts`. */
export const withoutRefusals = (isolation: Isolation | null): Isolation | null =>
  isolation && { ...isolation, refusals: 0, last: null, asks: false, locked: null, timeouts: 0 }

/** Writes one result; false where the lease is over. */
export function writeResult(call: Call, one: ResultInput): boolean {
  const { t } = call
  const { destination: id, startedAt, answered, positions, lanes } = one
  const d = held(call, one.worker, one.fence, id)
  if (d === null || (answered && d.position !== one.fromPos)) return false
  const wasReset = (one.failuresBefore ?? 0) > 0 && d.failures === 0
  const asks = one.outcome === 'busy' || one.outcome === 'gone'
  const { holdKind, holdUntil } = asks ? one.waiting : NO_WAITS
  const n = wasReset ? { ...NO_WAITS, holdKind, holdUntil } : one.waiting
  const later = d.advice_at !== null && d.advice_at > startedAt
  const attempt_seq = d.attempt_seq + 1
  t.destinations.change(id, {
    position: answered ? one.toPos : d.position,
    durable_pos: Math.max(d.durable_pos, (answered ? one.durableTo : null) ?? 0),
    ephemeral_pos: Math.max(
      d.ephemeral_pos,
      (answered || one.mayHaveArrived === true ? one.ephemeralTo : null) ?? 0,
    ),
    last_success: answered ? call.now : d.last_success,
    ...{ failures: n.failures, failing_since: n.failingSince, retry_at: n.retryAt },
    ...{ retry_interval: n.retryInterval, hold_kind: n.holdKind, hold_until: n.holdUntil },
    advice_at: later ? Math.max(d.advice_at ?? 0, n.adviceAfter ?? 0) : null,
    advice_up: d.advice_up && later,
    ...{ advice_after: n.adviceAfter, advice_step: n.adviceStep },
    asked_at: d.asked_at !== null && d.asked_at > startedAt ? d.asked_at : null,
    ...{ deadline_at: null, tried_at: n.triedAt },
    deadline_tries: n.deadlineTries.length === 0 ? null : [...n.deadlineTries],
    isolation: wasReset ? withoutRefusals(one.isolation) : one.isolation,
    ...{ timeout_ms: one.timeoutMs, quick: one.quick, lists: one.lists, attempt_seq },
  })
  if (one.ends && t.open_transactions.get(id)?.txn_id === one.txnId) t.open_transactions.delete(id)
  noteAttempt(t, id, attempt_seq, { positions, lanes })
  return true
}

function drop(call: Call, { destination: id, worker, fence, txnId, handed }: DropInput): boolean {
  const d = held(call, worker, fence, id)
  const open = call.t.open_transactions.get(id)
  if (d === null || open?.txn_id !== txnId) return false
  if (handed && open.edu_txn === txnId)
    call.t.destinations.change(id, { ephemeral_pos: Math.max(d.ephemeral_pos, open.ephemeral_to ?? 0) })
  call.t.open_transactions.delete(id)
  return true
}

const results = {
  'end the attempt': twin<[string]>((call, json) =>
    (JSON.parse(json) as (ResultInput | DropInput)[])
      .filter((one) => ('outcome' in one ? writeResult(call, one) : drop(call, one)))
      .map(({ destination }) => ({ destination })),
  ),
} satisfies Twins

const gaps = {
  'open a gap': twin<[string, number, number, number, number]>((call, worker, fence, id, from, to) => {
    const { t } = call
    const d = held(call, worker, fence, id)
    if (d?.position !== from || forgottenAfter(t, to)) return 0
    // As in PostgreSQL, an insert that meets a conflict has drawn its number.
    if (openGapOf(t, id) !== undefined) {
      call.next('gaps')
      return 0
    }
    putGap(call, id, from, to)
    return 1
  }),
  'let the gap grow': twin<[string, number, number, number, number]>((call, worker, fence, id, to, gap) => {
    const row = call.t.gaps.get(gap)
    if (held(call, worker, fence, id) === null) return 0
    if (row === undefined || row.closed_at !== null || row.cursor !== row.from_pos) return 0
    call.t.gaps.change(gap, { to_pos: to })
    return 1
  }),
  'move the gap along': twin<[number, number, number | null, number | null, boolean]>(
    ({ t, now }, id, gap, cursor, batch, closes) => {
      const row = t.gaps.get(gap)
      if (row === undefined || row.destination !== id || row.closed_at !== null) return 0
      t.gaps.change(gap, {
        cursor: Math.max(row.cursor, cursor ?? row.cursor),
        batch: batch ?? row.batch,
        closed_at: closes ? now : row.closed_at,
      })
      return 1
    },
  ),
  'end the sticky lane of the gap': twin<[number]>(({ t }, id) => {
    const key = keyOf.owed(id, null)
    if (t.sticky_owed.get(key) === undefined) return 0
    t.sticky_owed.delete(key)
    return 1
  }),
  'move the position on': twin<[string, number, number, number, number, number]>(
    (call, worker, fence, id, from, to, readAt) => {
      const d = held(call, worker, fence, id)
      if (d?.position !== from || forgottenAfter(call.t, readAt)) return 0
      call.t.destinations.change(id, { position: to })
      return 1
    },
  ),
} satisfies Twins

const replays = {
  'move sticky cursors': twin<[number, number | null, number | null, number]>(
    ({ t }, id, room, upto, cursor) => {
      const row = t.sticky_owed.get(keyOf.owed(id, room))
      if (row === undefined || row.upto !== upto) return 0
      t.sticky_owed.put(keyOf.owed(id, room), { ...row, cursor: Math.max(row.cursor, cursor) })
      return 1
    },
  ),
  'note what is listed': twin<[number, number[], number[]]>(({ t, now }, id, positions, ahead) => {
    const position = t.destinations.get(id)?.position ?? 0
    let noted = 0
    for (const pos of positions) {
      const s = t.sticky.get(pos)
      if (s === undefined && !ahead.includes(pos)) continue
      const covered = owedTo(t, id).some(
        ({ room, cursor, upto }) =>
          s !== undefined && pos > cursor && (room === null || (room === s.room && pos <= (upto ?? 0))),
      )
      const known = replayOf(t, id, pos)
      const room = s?.room ?? t.events.get(pos)?.room
      const waits = room === undefined ? undefined : t.waiting_rooms.get(keyOf.waits(id, room))
      const isMissed = waits !== undefined && pos > waits.cursor
      if (pos <= position && !isMissed && !covered && known === undefined) continue
      t.replays.put(keyOf.replay(id, pos), {
        ...{ destination: id, pos, state: 'sent', listed_at: headOf(t), tries: 0, next_at: null },
        ...{ expires_at: known?.expires_at ?? s?.expires_at ?? now, at: now },
      })
      noted += 1
    }
    return noted
  }),
  'note what is not listed': twin<[number, number[], number, number, boolean]>((call, ...values) =>
    noteUnlisted(call, ...values),
  ),
} satisfies Twins

export function noteUnlisted(
  { t, now }: Call,
  id: number,
  positions: number[],
  most: number,
  wait: number,
  everLists: boolean,
): number {
  const times: number[] = []
  let noted = 0
  for (const s of t.sticky.all()) {
    if (!positions.includes(s.pos) || s.expires_at <= now) continue
    const known = replayOf(t, id, s.pos)
    const again = owedTo(t, id).some(
      ({ room, upto }) => room === s.room && s.pos <= (upto ?? 0) && (upto ?? 0) > (known?.listed_at ?? 0),
    )
    const tries = everLists && again ? 0 : (known?.tries ?? 0)
    const next_at = tries < most ? now + wait * 2 ** Math.min(tries, 20) : null
    if (next_at !== null) times.push(next_at)
    t.replays.put(keyOf.replay(id, s.pos), {
      ...{ destination: id, pos: s.pos, state: tries >= most ? 'sent' : 'unlisted', listed_at: headOf(t) },
      ...{ tries: tries + 1, next_at, expires_at: known?.expires_at ?? s.expires_at, at: now },
    })
    noted += 1
  }
  if (times.length === 0) return 0
  const d = t.destinations.get(id)
  t.destinations.change(id, { look_at: Math.min(d?.look_at ?? Infinity, ...times) })
  return noted === 0 ? 0 : 1
}

export const RESULTS = { ...results, ...gaps, ...replays }
