/**
 * The one transaction of a destination that may be unanswered.
 *
 * Frozen before its first byte goes out, gone when the destination answered for it or when one of the
 * three reasons of contract 5.2 ended it. Always: id and bytes never change. The bytes are kept by reference
 * (`origin_server_ts`, and the log's texts at `positions`), so what is written does not grow with them; a redact or
 * purge, which changes the log's text, marks it void in the same commit, and then it is never sent again.
 */
import { inTransaction, type Db, type Pool } from './db.ts'
import type { StoredAcknowledges } from './destination-state.ts'
import { ALIVE, HELD_AS_SAID, holding, LOCKED, UNNARROWED } from './held.ts'
import type { Held } from './leases.ts'
import { lockContentShared, TAKES_CONTENT } from './stream.ts'
import { planFor } from './prepare.ts'
import { sql } from './statement.ts'

export interface Frozen {
  held: Held
  txnId: string
  /** Length of its body, which is stored by reference: `origin_server_ts` and the positions of its texts. */
  bytes: number
  originServerTs: number
  acknowledges: StoredAcknowledges
  /** The stream's head when the texts were read: nothing may have been taken away after it. */
  readAt: number
  /** As it was when it was planned: nothing may have been taken away from the destination since. */
  narrowedSeq: number
  /** When the first of its replays lapses, ms since the epoch; null: it has none. */
  soonestLapse: number | null
}

// One row a destination; what the lease, a redact, a pause, a leave or a lapse forbids is left out, and its caller plans anew.
// The update of `destinations` is also the lock that a taker waits for.
const FREEZE = sql(
  'freeze',
  `with input as (
    select (t->>'destination')::int as destination, (t->>'worker')::uuid as worker, (t->>'fence')::bigint as fence,
           t->>'txn_id' as txn_id, t->'ack' as ack, (t->>'read_at')::bigint as read_at,
           (t->>'narrowed_seq')::bigint as narrowed_seq, (t->>'soonest_lapse')::bigint as soonest_lapse,
           (t->>'origin_server_ts')::bigint as origin_server_ts, (t->>'bytes')::int as bytes
      from jsonb_array_elements($1::jsonb) t
  ), ${LOCKED}, ${ALIVE}, allowed as (
    update destinations d set last_attempt = w.now
      from input i, alive w, locked l
     where ${HELD_AS_SAID}
       and w.worker = i.worker and ${UNNARROWED}
       and (i.soonest_lapse is null or i.soonest_lapse > w.now)
       and not exists (select 1 from changes c where c.${TAKES_CONTENT} and c.pos > i.read_at)
    returning d.id, w.now
  )
  insert into open_transactions (destination, txn_id, origin_server_ts, bytes, created_at, started_at,
      worker, positions, lanes, from_pos, to_pos, gap, gap_cursor, closes_gap, sticky)
  select i.destination, i.txn_id, i.origin_server_ts, i.bytes, a.now, a.now, i.worker,
         array(select jsonb_array_elements_text(i.ack->'positions')::bigint), i.ack->>'lanes',
         (i.ack->>'fromPos')::bigint, (i.ack->>'toPos')::bigint,
         (i.ack->>'gap')::bigint, (i.ack->>'gapCursor')::bigint, (i.ack->>'closesGap')::boolean, i.ack->'sticky'
    from input i join allowed a on a.id = i.destination
  on conflict (destination) do nothing
  returning destination, started_at`,
)

/** Transactions that share one commit, at most. */
export const FROZEN_TOGETHER = 100

/** Freezes transactions of several destinations in one commit. Per transaction: when it started, or null. */
export async function freezeTransactions(pool: Pool, frozen: readonly Frozen[]): Promise<(number | null)[]> {
  const input = frozen.map((one) => ({
    destination: one.held.destination,
    worker: one.held.worker,
    fence: one.held.fence,
    txn_id: one.txnId,
    ack: withoutIds(one.acknowledges),
    read_at: one.readAt,
    narrowed_seq: one.narrowedSeq,
    soonest_lapse: one.soonestLapse,
    origin_server_ts: one.originServerTs,
    bytes: one.bytes,
  }))
  const { rows } = await inTransaction(pool, async (db) => {
    await lockContentShared(db)
    return db.query<{ destination: number; started_at: number }>(planFor(frozen.length, FREEZE), [
      JSON.stringify(input),
    ])
  })
  const started = new Map(rows.map(({ destination, started_at }) => [destination, started_at]))
  return frozen.map(({ held }) => started.get(held.destination) ?? null)
}

/** Event ids are in the log, at the positions. */
const withoutIds = (acknowledges: StoredAcknowledges) => ({ ...acknowledges, eventIds: undefined })

// $1 worker, $2 fence, $3 destination, $4 transaction id. A repeat puts in nothing new, so only `pause`, which stops
// sending, is asked for again here: what the destination has lost since is in it or not, it stays the same bytes (contract 5.2).
const REPEAT = sql(
  'repeat',
  `${holding('not d.paused')}, allowed as (
    update destinations d set last_attempt = now_ms() from held h where d.id = h.id returning d.id, d.last_attempt
  )
  update open_transactions o set attempt = o.attempt + 1, started_at = a.last_attempt, worker = $1
    from allowed a where o.destination = a.id and o.txn_id = $4 and not o.void
  returning o.started_at`,
)

/** Notes that the same bytes go out again; when that attempt started, or null when they must not. */
export async function repeatTransaction(db: Db, held: Held, txnId: string): Promise<number | null> {
  const { rows } = await db.query<{ started_at: number }>(REPEAT, [
    held.worker,
    held.fence,
    held.destination,
    txnId,
  ])
  return rows[0]?.started_at ?? null
}

// The row is locked first: a taker waits, and finds either the transaction or its end.
const END = sql(
  'end it unanswered',
  `${holding()}
     delete from open_transactions o using held h where o.destination = h.id and o.txn_id = $4`,
)

/** Ends an unanswered transaction (void, or too old for receivers to remember): what it held is planned anew. */
export async function dropTransaction(db: Db, held: Held, txnId: string): Promise<void> {
  await db.query(END, [held.worker, held.fence, held.destination, txnId])
}
