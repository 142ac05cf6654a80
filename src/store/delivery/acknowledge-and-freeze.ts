/**
 * The one statement that begins an attempt, and the only one that puts a transaction into `open_transactions`. What the answer to the transaction before it says is
 * acknowledged, and the next transaction is frozen in its place; or nothing was open, and one is frozen; or the same bytes go
 * out again. For many destinations in one commit.
 *
 * Always: an acknowledgement is written no later than the next freeze, else a crash would send old items again after newer ones. All
 * or nothing per destination: where the lease, a redact, a pause, a leave or a lapse forbids the freeze, nothing of its row is written.
 * Only an ordinary answer of a destination that isn't failing is acknowledged here; the rest is `results.ts`.
 */
import { KEPT_ATTEMPTS } from './results.ts'
import type { Pool } from '../db.ts'
import type { StoredAcknowledges } from './destination.ts'
import { ALIVE, IN_ORDER, UNNARROWED } from '../held.ts'
import type { Held } from './leases.ts'
import { sql } from '../statement.ts'

/** A transaction that is frozen, kept by reference: the log's texts at `acknowledges.positions`, and these. */
export interface Frozen {
  held: Held
  txnId: string
  originServerTs: number
  /** Of the body's UTF-8. */
  bytes: number
  /** Its `fromPos` and event ids are not read: these are in the log. */
  acknowledges: StoredAcknowledges
  /** The position from which it goes; null: that of the destination, after what is answered. */
  fromPos: number | null
  /** `wake_seq` at the holder's last look: if it has changed, the freeze is refused. Null: no check. */
  wakeSeq: number | null
  /** Nothing may have been taken away from the destination since. */
  narrowedSeq: number
  /** The place in the log up to which its texts are known: nothing may have been taken away after it. */
  readAt: number
  /** When the first of its replays lapses or the time of the first of its EDUs is over, ms since the epoch; null: nothing of it does. */
  soonestLapse: number | null
  /** What of it the next plan of EDUs asks (`deliver/rules/plan-edus.ts`); null: nothing. */
  edusAs: 'ephemeral' | 'alone' | null
  /** The open transaction, answered whole: it ends. Null: none is open. */
  answered: Answered | null
}

export interface Answered {
  txnId: string
  durationMs: number
  /** Positions that the answer did not list. */
  unlisted: readonly number[]
}

/**
 * The same bytes go out again. A repeat adds nothing new, so only a pause is asked about again: whatever the destination has lost since,
 * the bytes stay the same (contract 5.2).
 */
export interface Repeated {
  held: Held
  again: string
}

export type Beginning = Frozen | Repeated

// `i` is what a holder asks, `o` the transaction that was open: an acknowledgement moves the position to where `o` ended. `content_taken_at()` (migration
// 0003) takes the shared content lock, and returns where the newest text was taken away. Old attempts are taken away at every sixteenth write: until then up to fifteen more of them stand. Whether what goes again is void
// is asked of its row as it is when it is written: the statement's own view may be from before a redaction for which it waited.
const BEGIN = sql(
  'acknowledge and freeze',
  `with input as (
    select * from unnest($1::int[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::text[],
                         $9::int[], $10::text[], $11::text[], $12::text[], $13::bigint[], $14::int[], $15::text[], $16::text[],
                         $17::bigint[], $18::bigint[], $19::bigint[], $20::bigint[], $21::boolean[], $22::text[],
                         $23::int[], $24::text[], $25::int[], $26::bigint[], $27::bigint[], $28::text[])
      as i (destination, worker, fence, wake_seq, narrowed_seq, read_at, soonest_lapse, answered,
            duration_ms, unlisted, again, next, origin_server_ts, bytes, positions, lanes,
            from_pos, to_pos, gap, gap_cursor, closes_gap, sticky, edu_form, edu_positions, edu_count, durable_to, ephemeral_to, edus_as)
  ), gone as materialized (
    select content_taken_at() as pos
  ), locked as (
    -- The select on \`gone\` makes it take the content lock before any row, the order that all statements have.
    select d.id, i.* from destinations d join input i on i.destination = d.id
     where (select pos from gone) is not null ${IN_ORDER}
  ), ${ALIVE}, done as (
    update destinations d
       set position = case when i.answered is null then d.position else o.to_pos end,
           durable_pos = greatest(d.durable_pos, case when i.answered is not null and o.edu_txn = o.txn_id then o.durable_to end),
           ephemeral_pos = greatest(d.ephemeral_pos, case when i.answered is not null and o.edu_txn = o.txn_id then o.ephemeral_to end),
           ephemeral_at = case when i.edus_as = 'ephemeral' then w.now else d.ephemeral_at end,
           edu_alone = case when i.again is null then coalesce(i.edus_as = 'alone', false) else d.edu_alone end,
           last_success = case when i.answered is null then d.last_success else w.now end,
           attempt_seq = d.attempt_seq + case when i.answered is null then 0 else 1 end,
           last_attempt = w.now
      from locked i join alive w on w.worker = i.worker
      left join open_transactions o on o.destination = i.id
     where d.id = i.id and d.lease_owner is not distinct from i.worker and d.fence = i.fence
       and o.txn_id is not distinct from coalesce(i.answered, i.again)
       and (i.answered is null or d.position = o.from_pos)
       and case when i.again is not null then not d.paused
                else (i.wake_seq is null or d.wake_seq = i.wake_seq) and ${UNNARROWED} and (select pos from gone) <= i.read_at
                 and (i.soonest_lapse is null or i.soonest_lapse > w.now) end
    returning d.id, d.position, d.attempt_seq, w.now, i.*, o.started_at, o.edus, o.lanes as sent_lanes, o.from_pos as sent_from,
              o.to_pos as sent_to, o.positions as sent
  ), noted as (
    insert into attempts (destination, seq, at, txn_id, duration_ms, outcome, status, pdus, edus, positions, lanes,
        from_pos, to_pos, unlisted)
    select n.destination, n.attempt_seq, n.started_at, n.answered, n.duration_ms, 'answered', 200, cardinality(n.sent), n.edus,
           n.sent, n.sent_lanes, n.sent_from, n.sent_to, n.unlisted::bigint[]
      from done n where n.answered is not null
  ), pruned as (
    delete from attempts a using done n
     where a.destination = n.destination and n.answered is not null and n.attempt_seq % 16 = 0
       and a.seq <= n.attempt_seq - ${KEPT_ATTEMPTS}
  ), repeated as (
    update open_transactions o set attempt = o.attempt + 1, started_at = n.now, worker = n.worker
      from done n where o.destination = n.destination and o.txn_id = n.again and not o.void
    returning o.destination, o.started_at
  ), replaced as (
    update open_transactions o
       set txn_id = n.next, origin_server_ts = n.origin_server_ts, bytes = n.bytes, void = false, created_at = n.now,
           started_at = n.now, attempt = 1, worker = n.worker, positions = n.positions::bigint[], lanes = n.lanes, edus = coalesce(n.edu_count, 0),
           from_pos = coalesce(n.from_pos, n.position), to_pos = n.to_pos, gap = n.gap, gap_cursor = n.gap_cursor,
           closes_gap = n.closes_gap, sticky = n.sticky::jsonb, edu_txn = case when n.edu_form is not null then n.next end,
           edu_form = n.edu_form, edu_positions = n.edu_positions::bigint[], durable_to = n.durable_to, ephemeral_to = n.ephemeral_to
      from done n where o.destination = n.destination and n.answered is not null
  ), begun as (
    insert into open_transactions (destination, txn_id, origin_server_ts, bytes, created_at, started_at, worker,
        positions, lanes, from_pos, to_pos, gap, gap_cursor, closes_gap, sticky, edus, edu_txn, edu_form, edu_positions, durable_to, ephemeral_to)
    select n.destination, n.next, n.origin_server_ts, n.bytes, n.now, n.now, n.worker, n.positions::bigint[], n.lanes,
           coalesce(n.from_pos, n.position), n.to_pos, n.gap, n.gap_cursor, n.closes_gap, n.sticky::jsonb,
           coalesce(n.edu_count, 0), case when n.edu_form is not null then n.next end, n.edu_form, n.edu_positions::bigint[], n.durable_to, n.ephemeral_to
      from done n where n.answered is null and n.again is null
  )
  select destination, now from done where again is null
   union all select destination, started_at from repeated`,
)

/** Destinations that share one commit, at most. */
export const FROZEN_TOGETHER = 200

/** Form, positions, count and both cursors. */
function edusOf(acknowledges: readonly (StoredAcknowledges | null)[]): unknown[] {
  const edus = acknowledges.map((one) => one?.edus ?? null)
  return [
    edus.map((one) => one?.form ?? null),
    edus.map((one) => (one === null ? null : list(one.positions))),
    edus.map((one) => one?.count ?? null),
    edus.map((one) => one?.durableTo ?? null),
    edus.map((one) => one?.ephemeralTo ?? null),
  ]
}

const list = (positions: readonly number[]) => `{${positions.join(',')}}`

/** Per destination: when its attempt began, ms since the epoch, or null: it must not, and nothing was written of it. */
export async function acknowledgeAndFreeze(
  pool: Pool,
  them: readonly Beginning[],
): Promise<(number | null)[]> {
  const frozen = them.map((one) => ('again' in one ? null : one))
  const answered = frozen.map((one) => one?.answered ?? null)
  const acknowledges = frozen.map((one) => one?.acknowledges ?? null)
  const { rows } = await pool.query<{ destination: number; now: number }>(BEGIN, [
    them.map(({ held }) => held.destination),
    them.map(({ held }) => held.worker),
    them.map(({ held }) => held.fence),
    frozen.map((one) => one?.wakeSeq ?? null),
    frozen.map((one) => one?.narrowedSeq ?? null),
    frozen.map((one) => one?.readAt ?? null),
    frozen.map((one) => one?.soonestLapse ?? null),
    answered.map((one) => one?.txnId ?? null),
    answered.map((one) => (one === null ? null : Math.round(one.durationMs))),
    answered.map((one) => (one === null ? null : list(one.unlisted))),
    them.map((one) => ('again' in one ? one.again : null)),
    frozen.map((one) => one?.txnId ?? null),
    frozen.map((one) => one?.originServerTs ?? null),
    frozen.map((one) => one?.bytes ?? null),
    acknowledges.map((one) => (one === null ? null : list(one.positions))),
    acknowledges.map((one) => one?.lanes ?? null),
    frozen.map((one) => one?.fromPos ?? null),
    acknowledges.map((one) => one?.toPos ?? null),
    acknowledges.map((one) => one?.gap ?? null),
    acknowledges.map((one) => one?.gapCursor ?? null),
    acknowledges.map((one) => one?.closesGap ?? false),
    acknowledges.map((one) => (one === null || one.sticky.length === 0 ? '[]' : JSON.stringify(one.sticky))),
    ...edusOf(acknowledges),
    frozen.map((one) => one?.edusAs ?? null),
  ])
  const written = new Map(rows.map(({ destination, now }) => [destination, now]))
  return them.map(({ held }) => written.get(held.destination) ?? null)
}
