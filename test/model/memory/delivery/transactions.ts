/** `store/delivery/acknowledge-and-freeze.ts`: an attempt begins, and what was answered before it is acknowledged with it. */
import { keyOf, type DestinationRow, type OpenRow } from '../rows.ts'
import { unnarrowed } from '../rules.ts'
import { held } from './leases.ts'
import { twin, type Call, type Twins } from '../statement.ts'

/** Something was taken away after this position. */
export const takenAwayAfter = ({ t }: Call, pos: number): boolean =>
  t.changes.all().some((change) => ['redact', 'purge', 'erase'].includes(change.kind) && change.pos > pos)

export const TRANSACTIONS = {
  'acknowledge and freeze': twin<BeginInput>((call, ...input) => {
    call.lock('content', 'shared')
    return input[0].flatMap((_, i) => begin(call, input, i))
  }),
} satisfies Twins

/** Arrays of one value a destination, as `acknowledgeAndFreeze` sends them. */
export type BeginInput = [
  destinations: number[],
  workers: string[],
  fences: number[],
  wakeSeqs: (number | null)[],
  narrowedSeqs: (number | null)[],
  readAt: (number | null)[],
  soonestLapse: (number | null)[],
  answered: (string | null)[],
  durations: (number | null)[],
  unlisted: (string | null)[],
  again: (string | null)[],
  next: (string | null)[],
  originServerTs: (number | null)[],
  bytes: (number | null)[],
  positions: (string | null)[],
  lanes: (string | null)[],
  fromPos: (number | null)[],
  toPos: (number | null)[],
  gap: (number | null)[],
  gapCursor: (number | null)[],
  closesGap: boolean[],
  sticky: string[],
  eduForms: (number | null)[],
  eduPositions: (string | null)[],
  eduCounts: (number | null)[],
  durableTo: (number | null)[],
  ephemeralTo: (number | null)[],
  edusAs: ('ephemeral' | 'alone' | null)[],
]

/** What is sent for one destination. */
export function beginningOf(input: BeginInput, i: number) {
  const [
    ids,
    workers,
    fences,
    wakeSeqs,
    narrowedSeqs,
    readAt,
    lapses,
    answered,
    ,
    unlisted,
    again,
    next,
    ...more
  ] = input
  const [times, bytes, positions, lanes, fromPos, toPos, gaps, gapCursors, closesGap, sticky, ...edus] = more
  const [forms, eduPositions, counts, durableTo, ephemeralTo, edusAs] = edus
  return {
    id: ids[i] ?? 0,
    worker: workers[i] ?? '',
    fence: fences[i] ?? 0,
    wakeSeq: wakeSeqs[i] ?? null,
    narrowedSeq: narrowedSeqs[i] ?? null,
    readAt: readAt[i] ?? 0,
    soonestLapse: lapses[i] ?? null,
    answered: answered[i] ?? null,
    unlisted: listOf(unlisted[i]),
    again: again[i] ?? null,
    txnId: next[i] ?? '',
    originServerTs: times[i] ?? 0,
    bytes: bytes[i] ?? 0,
    positions: listOf(positions[i]),
    lanes: lanes[i] ?? '',
    fromPos: fromPos[i] ?? null,
    toPos: toPos[i] ?? 0,
    gap: gaps[i] ?? null,
    gapCursor: gapCursors[i] ?? null,
    closesGap: closesGap[i] ?? false,
    sticky: JSON.parse(sticky[i] ?? '[]') as OpenRow['sticky'],
    edus: {
      form: forms[i] ?? null,
      positions: eduPositions[i] == null ? null : listOf(eduPositions[i]),
      count: counts[i] ?? 0,
      durableTo: durableTo[i] ?? null,
      ephemeralTo: ephemeralTo[i] ?? null,
      as: edusAs[i] ?? null,
    },
  }
}

const listOf = (text: string | null | undefined): number[] =>
  text == null || text === '{}' ? [] : text.slice(1, -1).split(',').map(Number)

function begin(call: Call, input: BeginInput, i: number): object[] {
  const { t, now } = call
  const one = beginningOf(input, i)
  const { id, worker } = one
  const d = held(call, worker, one.fence, id)
  const open = t.open_transactions.get(id)
  if (d === null || (open?.txn_id ?? null) !== (one.answered ?? one.again)) return []
  if (open !== undefined && one.again !== null) {
    if (d.paused || open.void) return []
    t.open_transactions.put(id, { ...open, attempt: open.attempt + 1, started_at: now, worker })
    return [{ destination: id, now }]
  }
  if (open !== undefined && d.position !== open.from_pos) return []
  if (one.wakeSeq !== null && d.wake_seq !== one.wakeSeq) return []
  if (!unnarrowed(d, one.narrowedSeq) || takenAwayAfter(call, one.readAt)) return []
  if (one.soonestLapse !== null && one.soonestLapse <= now) return []
  const position = open === undefined ? d.position : open.to_pos
  const attempt_seq = d.attempt_seq + (open === undefined ? 0 : 1)
  const last_success = open === undefined ? d.last_success : now
  const { edus } = one
  t.destinations.change(id, {
    ...{ position, attempt_seq, last_success },
    ...(open !== undefined && cursorsAfter(d, open)),
    ephemeral_at: edus.as === 'ephemeral' ? now : d.ephemeral_at,
    edu_alone: edus.as === 'alone',
  })
  if (open !== undefined) noteAttempt(t, id, attempt_seq, open)
  t.open_transactions.put(id, {
    ...{
      destination: id,
      txn_id: one.txnId,
      origin_server_ts: one.originServerTs,
      bytes: one.bytes,
      void: false,
    },
    ...{ created_at: now, started_at: now, attempt: 1, worker, positions: one.positions, lanes: one.lanes },
    ...{ from_pos: one.fromPos ?? position, to_pos: one.toPos, gap: one.gap, gap_cursor: one.gapCursor },
    ...{ closes_gap: one.closesGap, sticky: one.sticky },
    ...{ edus: edus.count, edu_txn: edus.form === null ? null : one.txnId, edu_form: edus.form },
    ...{ edu_positions: edus.positions, durable_to: edus.durableTo, ephemeral_to: edus.ephemeralTo },
  })
  return [{ destination: id, now }]
}

/** The lanes of its EDUs after an answer to what is open. */
export function cursorsAfter(
  { durable_pos, ephemeral_pos }: DestinationRow,
  { edu_txn, txn_id, durable_to, ephemeral_to }: OpenRow,
) {
  if (edu_txn !== txn_id) return {}
  return {
    durable_pos: Math.max(durable_pos, durable_to ?? 0),
    ephemeral_pos: Math.max(ephemeral_pos, ephemeral_to ?? 0),
  }
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
