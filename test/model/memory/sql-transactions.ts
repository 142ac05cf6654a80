/** `store/{open-transactions,advance}.ts`: what is frozen, and what is acknowledged with it. */
import type { StoredAcknowledges } from '../../../src/store/destination-state.ts'
import { keyOf, type OpenRow } from './rows.ts'
import { unnarrowed } from './rules.ts'
import { held } from './sql-leases.ts'
import { twin, type Call, type Twins } from './statement.ts'

interface FrozenInput {
  destination: number
  worker: string
  fence: number
  txn_id: string
  ack: Omit<StoredAcknowledges, 'eventIds'>
  read_at: number
  narrowed_seq: number
  soonest_lapse: number | null
  origin_server_ts: number
  bytes: number
}

/** Something was taken away after this position. */
export const takenAwayAfter = ({ t }: Call, pos: number): boolean =>
  t.changes.all().some((change) => ['redact', 'purge', 'erase'].includes(change.kind) && change.pos > pos)

export const TRANSACTIONS = {
  freeze: twin<[string]>((call, json) => {
    const { t, now } = call
    return (JSON.parse(json) as FrozenInput[]).flatMap((one) => {
      const { destination, worker, fence, ack } = one
      const d = held(call, worker, fence, destination)
      if (d === null || !unnarrowed(d, one.narrowed_seq)) return []
      if (one.soonest_lapse !== null && one.soonest_lapse <= now) return []
      if (takenAwayAfter(call, one.read_at) || t.open_transactions.get(destination) !== undefined) return []
      t.open_transactions.put(destination, {
        ...{ destination, txn_id: one.txn_id, origin_server_ts: one.origin_server_ts, bytes: one.bytes },
        ...{ void: false, created_at: now, started_at: now, attempt: 1, worker },
        ...{ positions: ack.positions, lanes: ack.lanes, from_pos: ack.fromPos, to_pos: ack.toPos },
        ...{ gap: ack.gap, gap_cursor: ack.gapCursor, closes_gap: ack.closesGap, sticky: ack.sticky },
      })
      return [{ destination, started_at: now }]
    })
  }),
  repeat: twin<[string, number, number, string]>((call, worker, fence, id, txnId) => {
    const d = held(call, worker, fence, id)
    if (d === null || d.paused) return []
    const open = call.t.open_transactions.get(id)
    if (open?.txn_id !== txnId || open.void) return []
    call.t.open_transactions.put(id, { ...open, attempt: open.attempt + 1, started_at: call.now, worker })
    return [{ started_at: call.now }]
  }),
  'end it unanswered': twin<[string, number, number, string]>((call, worker, fence, id, txnId) => {
    if (held(call, worker, fence, id) === null) return 0
    if (call.t.open_transactions.get(id)?.txn_id !== txnId) return 0
    call.t.open_transactions.delete(id)
    return 1
  }),
  advance: twin<AdvanceInput>((call, ...input) => advance(call, input)),
} satisfies Twins

/** Arrays of one value a destination, as `advance.ts` sends them. */
export type AdvanceInput = [
  destinations: number[],
  workers: string[],
  fences: number[],
  wakeSeqs: number[],
  answered: (string | null)[],
  durations: (number | null)[],
  unlisted: (string | null)[],
  next: (string | null)[],
  originServerTs: (number | null)[],
  bytes: (number | null)[],
  positions: (string | null)[],
  toPos: (number | null)[],
  readAt: (number | null)[],
  narrowedSeqs: number[],
]

export const listOf = (text: string | null | undefined): number[] =>
  text == null || text === '{}' ? [] : text.slice(1, -1).split(',').map(Number)

function advance(call: Call, input: AdvanceInput): object[] {
  const { t, now } = call
  call.lock('content', 'shared')
  const [
    ids,
    workers,
    fences,
    wakeSeqs,
    answered,
    ,
    ,
    nexts,
    times,
    bytes,
    positions,
    toPos,
    readAt,
    narrowedSeqs,
  ] = input
  return ids.flatMap((id, i) => {
    const worker = workers[i] ?? ''
    const d = held(call, worker, fences[i] ?? 0, id)
    const open = t.open_transactions.get(id)
    const done = answered[i] ?? null
    const next = nexts[i] ?? null
    if (d === null || (open?.txn_id ?? null) !== done) return []
    if (open !== undefined && done !== null && d.position !== open.from_pos) return []
    if (next !== null && !unnarrowed(d, narrowedSeqs[i])) return []
    if (next !== null && (d.wake_seq !== wakeSeqs[i] || takenAwayAfter(call, readAt[i] ?? 0))) return []
    const position = open === undefined ? d.position : open.to_pos
    const attempt_seq = d.attempt_seq + (open === undefined ? 0 : 1)
    const last_success = open === undefined ? d.last_success : call.now
    t.destinations.change(id, { position, attempt_seq, last_success })
    if (open !== undefined) noteAttempt(t, id, attempt_seq, open)
    if (open !== undefined && next === null) t.open_transactions.delete(id)
    if (next !== null) {
      const sent = listOf(positions[i])
      const made: OpenRow = {
        ...{
          destination: id,
          txn_id: next,
          origin_server_ts: times[i] ?? 0,
          bytes: bytes[i] ?? 0,
          void: false,
        },
        ...{ created_at: now, started_at: now, attempt: 1, worker, positions: sent },
        ...{ lanes: 't'.repeat(sent.length), from_pos: position, to_pos: toPos[i] ?? 0 },
        ...{ gap: null, gap_cursor: null, closes_gap: false, sticky: [] },
      }
      t.open_transactions.put(id, made)
    }
    return [{ id, now }]
  })
}

export function noteAttempt(
  t: Call['t'],
  id: number,
  seq: number,
  open: Pick<OpenRow, 'positions' | 'lanes'>,
) {
  const { positions, lanes } = open
  t.attempts.put(keyOf.attempt(id, seq), { destination: id, seq, at: 0, positions, lanes })
}
