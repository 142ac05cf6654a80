/**
 * The two writes of a destination in steady traffic as one: what was answered is acknowledged, and what comes next
 * is frozen, for many destinations in one commit.
 *
 * Always: an acknowledgement is written no later than the next freeze, else a crash would send old items again after
 * newer ones. All or nothing per destination: where the freeze is forbidden, nothing of its row is written. Only for
 * a destination that isn't failing and a transaction of the timeline: the rest is `open-transactions.ts` and
 * `attempt-results.ts`.
 */
import { KEPT_ATTEMPTS } from './attempt-results.ts'
import type { Pool } from './db.ts'
import { ALIVE, IN_ORDER, UNNARROWED } from './held.ts'
import type { Held } from './leases.ts'
import { sql } from './statement.ts'

export interface Advance {
  held: Held
  /** As the holder knows it: after somebody else's wish it must look first. Not asked where nothing is frozen. */
  wakeSeq: number
  /** Likewise: what was taken away from the destination since, it does not know. */
  narrowedSeq: number
  /** The open transaction, answered whole: it ends. Null: none is open. */
  answered: Answered | null
  /** What is frozen in its place. */
  next: Next | null
}

export interface Answered {
  txnId: string
  durationMs: number
  /** Positions that the answer did not list. */
  unlisted: readonly number[]
}

export interface Next {
  txnId: string
  originServerTs: number
  bytes: number
  positions: readonly number[]
  toPos: number
  /** The place in the log up to which its texts are known: nothing may have been taken away after it. */
  readAt: number
}

// Old attempts are taken away at every sixteenth write: until then up to fifteen more of them stand.
const ADVANCE = sql(
  'advance',
  `with input as (
    select * from unnest($1::int[], $2::uuid[], $3::bigint[], $4::bigint[], $5::text[], $6::int[], $7::text[],
                         $8::text[], $9::bigint[], $10::int[], $11::text[], $12::bigint[], $13::bigint[], $14::bigint[])
      as i (destination, worker, fence, wake_seq, answered, duration_ms, unlisted,
            next, origin_server_ts, bytes, positions, to_pos, read_at, narrowed_seq)
  ), gone as materialized (
    select content_taken_at() as pos
  ), locked as (
    -- First the content lock, then rows, as everybody has it: the question about \`gone\` is there for that.
    select d.id, i.* from destinations d join input i on i.destination = d.id
     where (select pos from gone) is not null ${IN_ORDER}
  ), ${ALIVE}, done as (
    update destinations d
       set position = case when i.answered is null then d.position else o.to_pos end,
           last_success = case when i.answered is null then d.last_success else w.now end,
           attempt_seq = d.attempt_seq + case when i.answered is null then 0 else 1 end,
           last_attempt = case when i.next is null then d.last_attempt else w.now end
      from locked i join alive w on w.worker = i.worker
      left join open_transactions o on o.destination = i.id
     where d.id = i.id and d.lease_owner is not distinct from i.worker and d.fence = i.fence
       and o.txn_id is not distinct from i.answered
       and (i.answered is null or d.position = o.from_pos)
       and (i.next is null or (d.wake_seq = i.wake_seq and ${UNNARROWED} and (select pos from gone) <= i.read_at))
    returning d.id, d.position, d.attempt_seq, w.now, i.worker, i.answered, i.duration_ms, i.unlisted, i.next,
              i.origin_server_ts, i.bytes, i.positions, i.to_pos, o.started_at, o.edus, o.lanes, o.from_pos as sent_from,
              o.to_pos as sent_to, o.positions as sent
  ), noted as (
    insert into attempts (destination, seq, at, txn_id, duration_ms, outcome, status, pdus, edus, positions, lanes,
        from_pos, to_pos, unlisted)
    select n.id, n.attempt_seq, n.started_at, n.answered, n.duration_ms, 'answered', 200, cardinality(n.sent), n.edus,
           n.sent, n.lanes, n.sent_from, n.sent_to, n.unlisted::bigint[]
      from done n where n.answered is not null
  ), pruned as (
    delete from attempts a using done n
     where a.destination = n.id and n.answered is not null and n.attempt_seq % 16 = 0
       and a.seq <= n.attempt_seq - ${KEPT_ATTEMPTS}
  ), changed as (
    update open_transactions o
       set txn_id = n.next, origin_server_ts = n.origin_server_ts, bytes = n.bytes, void = false, created_at = n.now,
           started_at = n.now, attempt = 1, worker = n.worker, positions = n.positions::bigint[],
           lanes = repeat('t', cardinality(n.positions::bigint[])), edus = 0, from_pos = n.position, to_pos = n.to_pos,
           gap = null, gap_cursor = null, closes_gap = false, sticky = '[]'
      from done n where o.destination = n.id and n.answered is not null and n.next is not null
  ), ended as (
    delete from open_transactions o using done n
     where o.destination = n.id and n.answered is not null and n.next is null
  ), begun as (
    insert into open_transactions (destination, txn_id, origin_server_ts, bytes, created_at, started_at, worker,
        positions, lanes, from_pos, to_pos)
    select n.id, n.next, n.origin_server_ts, n.bytes, n.now, n.now, n.worker, n.positions::bigint[],
           repeat('t', cardinality(n.positions::bigint[])), n.position, n.to_pos
      from done n where n.answered is null and n.next is not null
  )
  select id, now from done`,
)

/** Destinations that share one commit, at most. */
export const ADVANCED_TOGETHER = 200

const list = (positions: readonly number[]) => `{${positions.join(',')}}`

/** Per destination: when it was written, ms since the epoch, or null: nothing of it was. */
export async function advance(pool: Pool, them: readonly Advance[]): Promise<(number | null)[]> {
  const { rows } = await pool.query<{ id: number; now: number }>(ADVANCE, [
    them.map(({ held }) => held.destination),
    them.map(({ held }) => held.worker),
    them.map(({ held }) => held.fence),
    them.map(({ wakeSeq }) => wakeSeq),
    them.map(({ answered }) => answered?.txnId ?? null),
    them.map(({ answered }) => (answered === null ? null : Math.round(answered.durationMs))),
    them.map(({ answered }) => (answered === null ? null : list(answered.unlisted))),
    them.map(({ next }) => next?.txnId ?? null),
    them.map(({ next }) => next?.originServerTs ?? null),
    them.map(({ next }) => next?.bytes ?? null),
    them.map(({ next }) => (next === null ? null : list(next.positions))),
    them.map(({ next }) => next?.toPos ?? null),
    them.map(({ next }) => next?.readAt ?? null),
    them.map(({ narrowedSeq }) => narrowedSeq),
  ])
  const written = new Map(rows.map(({ id, now }) => [id, now]))
  return them.map(({ held }) => written.get(held.destination) ?? null)
}
