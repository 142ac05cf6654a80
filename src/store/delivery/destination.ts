/**
 * Everything from which the holder of a destination decides, in one read (for many holders at once, too): its row, the open transaction, the gap, the
 * replays that are owed, the head of the stream and the database's time.
 */
import type { Db } from '../db.ts'
import { MAY_WRITE } from '../held.ts'
import { planByKey } from '../prepare.ts'
import type { Isolation } from '../isolation.ts'
import type { Held } from './leases.ts'
import { sql } from '../statement.ts'
import { WAIT_COLUMNS, waitingOf, type WaitState, type WaitRow } from '../waits.ts'

export interface OpenTransaction {
  txnId: string
  /** A redact or purge took a text of it: it is never sent again. */
  void: boolean
  originServerTs: number
  /** Length of its body. */
  bytes: number
  createdAt: number
  attempt: number
  worker: string
  /** Its event ids are not read: they are in the log, with the texts. */
  acknowledges: StoredAcknowledges
}

/** What an answer to a transaction acknowledges, as it was when the transaction was frozen. */
export interface StoredAcknowledges {
  positions: number[]
  /** A letter per position: t, c or s; a capital: it is apart (`apart.ts`), and no cursor moves for it. */
  lanes: string
  eventIds: string[]
  fromPos: number
  toPos: number
  gap: number | null
  gapCursor: number | null
  closesGap: boolean
  sticky: { room: number | null; upto: number | null; cursor: number }[]
  /** Absent: no EDU goes with it, and no cursor of theirs moves. */
  edus?: OpenEdus | undefined
}

/** The EDUs of a transaction (`matrix/edus/pack.ts`), and the cursors of their lanes after an answer; null: it is one that is apart. */
export interface OpenEdus {
  form: number
  /** Of their parts, in the order in which they are packed. */
  positions: number[]
  /** As packed. */
  count: number
  durableTo: number | null
  ephemeralTo: number | null
}

export interface DestinationState {
  id: number
  name: string
  /** Whether the lease still holds. */
  held: boolean
  now: number
  head: number
  position: number
  /** Every durable EDU up to here is acknowledged, left out or for others; and every other one. */
  durablePos: number
  ephemeralPos: number
  /** Positions of the newest of each in the stream; 0: there was none. */
  durableHead: number
  eduHead: number
  /** When the last transaction was put together that held nothing but EDUs that are not durable, ms since the epoch; null: none was. */
  ephemeralAt: number | null
  /** The last transaction held an EDU that is sent by itself. */
  eduAlone: boolean
  /** How often another look was wished of its holder. */
  wakeSeq: number
  /** Raised by a trigger (migration 0004) when a membership of it ends: what was planned before that is no longer frozen. */
  narrowedSeq: number
  paused: boolean
  /** An operator gives up what is owed up to there (`skips.ts`), and that has not been carried out; null: none does. */
  skipUpto: number | null
  lists: boolean
  /** Its last answer was a quick 200. */
  quick: boolean
  timeoutMs: number | null
  /** When it last answered 200, ms since the epoch. */
  lastSuccess: number | null
  /** What refusals have taught of it; null: nothing. */
  isolation: Isolation | null
  /** What its next attempt waits for (backoff, embargo, advice); not what is owed to it. */
  waiting: WaitState
  open: OpenTransaction | null
  gap: { id: number; from: number; to: number; cursor: number; batch: number } | null
  owed: { room: number | null; upto: number | null; cursor: number }[]
  /** When the next unlisted sticky event is due. */
  unlistedAt: number | null
}

const LOAD = sql(
  'look at the destination',
  `select d.id, d.name, d.position, d.wake_seq, d.narrowed_seq, d.paused, d.skip_upto, d.lists, d.quick, d.timeout_ms, d.last_success, d.isolation, ${WAIT_COLUMNS},
         d.durable_pos, d.ephemeral_pos, d.ephemeral_at, d.edu_alone, s.head, s.durable_head, s.edu_head, now_ms() as now,
         (d.lease_owner = i.worker and d.fence = i.fence
          and exists (select 1 from workers w where w.id = i.worker and ${MAY_WRITE})) as held,
         o.txn_id, o.origin_server_ts, o.bytes, o.void, o.created_at as open_created_at, o.attempt, o.worker as open_worker, o.positions, o.lanes,
         o.from_pos, o.to_pos, o.gap as open_gap, o.gap_cursor as open_gap_cursor, o.closes_gap, o.sticky,
         case when o.edu_txn = o.txn_id then o.edu_form end as edu_form, o.edu_positions, o.edus as edu_count, o.durable_to, o.ephemeral_to,
         g.id as gap_id, g.from_pos as gap_from, g.to_pos as gap_to, g.batch as gap_batch,
         -- Retention may have opened it while the timeline was unanswered: what that brought is not sent again.
         greatest(g.cursor, d.position) as gap_cursor,
         -- Joins and the gap have an index each.
         (select jsonb_agg(jsonb_build_object('room', w.room, 'upto', w.upto, 'cursor', w.cursor)) from (
            select * from sticky_owed where destination = d.id and room is not null
            union all
            select * from sticky_owed where destination = d.id and room is null) w) as owed,
         (select min(p.next_at) from replays p join sticky k on k.pos = p.pos
           where p.destination = d.id and p.state = 'unlisted' and k.expires_at > now_ms()
             and not exists (select 1 from apart a where a.destination = d.id and a.pos = p.pos)
             and exists (select 1 from memberships m where m.room = k.room and m.destination = d.id and m.until is null)
         ) as unlisted_at
    -- A number is given so that PostgreSQL expects few, and plans this once: to plan it at each call took longer than to run it.
    from (select * from unnest($1::int[], $2::uuid[], $3::bigint[]) i (destination, worker, fence) limit $4) i
    join destinations d on d.id = i.destination
    cross join stream s
    left join open_transactions o on o.destination = d.id
    left join gaps g on g.destination = d.id and g.closed_at is null`,
)

interface Row extends WaitRow {
  id: number
  name: string
  held: boolean
  now: number
  head: number
  position: number
  durable_pos: number
  ephemeral_pos: number
  ephemeral_at: number | null
  edu_alone: boolean
  durable_head: number
  edu_head: number
  wake_seq: number
  narrowed_seq: number
  paused: boolean
  skip_upto: number | null
  lists: boolean
  quick: boolean
  timeout_ms: number | null
  last_success: number | null
  isolation: Isolation | null
  txn_id: string | null
  origin_server_ts: number
  bytes: number
  void: boolean
  open_created_at: number
  attempt: number
  open_worker: string
  positions: number[]
  lanes: string
  from_pos: number
  to_pos: number
  open_gap: number | null
  open_gap_cursor: number | null
  closes_gap: boolean
  sticky: StoredAcknowledges['sticky']
  edu_form: number | null
  edu_positions: number[] | null
  edu_count: number
  durable_to: number | null
  ephemeral_to: number | null
  gap_id: number | null
  gap_from: number
  gap_to: number
  gap_cursor: number
  gap_batch: number
  owed: DestinationState['owed'] | null
  unlisted_at: number | null
}

/** Each as its row says now, or null where there is none. No destination is in there twice. */
export async function loadDestinations(db: Db, helds: readonly Held[]): Promise<(DestinationState | null)[]> {
  const { rows } = await db.query<Row>(planByKey(helds.length, LOAD), [
    helds.map(({ destination }) => destination),
    helds.map(({ worker }) => worker),
    helds.map(({ fence }) => fence),
    helds.length,
  ])
  const found = new Map(rows.map((row) => [row.id, row]))
  return helds.map(({ destination }) => {
    const row = found.get(destination)
    return row === undefined ? null : fromRow(row)
  })
}

function fromRow(row: Row): DestinationState {
  return {
    id: row.id,
    name: row.name,
    held: row.held,
    now: row.now,
    head: row.head,
    position: row.position,
    durablePos: row.durable_pos,
    ephemeralPos: row.ephemeral_pos,
    durableHead: row.durable_head,
    eduHead: row.edu_head,
    ephemeralAt: row.ephemeral_at,
    eduAlone: row.edu_alone,
    wakeSeq: row.wake_seq,
    narrowedSeq: row.narrowed_seq,
    paused: row.paused,
    skipUpto: row.skip_upto,
    lists: row.lists,
    quick: row.quick,
    timeoutMs: row.timeout_ms,
    lastSuccess: row.last_success,
    isolation: row.isolation,
    waiting: waitingOf(row),
    open: row.txn_id === null ? null : openFrom(row, row.txn_id),
    gap:
      row.gap_id === null
        ? null
        : {
            id: row.gap_id,
            from: row.gap_from,
            to: row.gap_to,
            cursor: row.gap_cursor,
            batch: row.gap_batch,
          },
    owed: row.owed ?? [],
    unlistedAt: row.unlisted_at,
  }
}

function openFrom(row: Row, txnId: string): OpenTransaction {
  return {
    txnId,
    void: row.void,
    originServerTs: row.origin_server_ts,
    bytes: row.bytes,
    createdAt: row.open_created_at,
    attempt: row.attempt,
    worker: row.open_worker,
    acknowledges: {
      positions: row.positions,
      lanes: row.lanes,
      eventIds: [],
      fromPos: row.from_pos,
      toPos: row.to_pos,
      gap: row.open_gap,
      gapCursor: row.open_gap_cursor,
      closesGap: row.closes_gap,
      sticky: row.sticky,
      ...(row.edu_form !== null && { edus: edusFrom(row, row.edu_form) }),
    },
  }
}

const edusFrom = (row: Row, form: number): OpenEdus => ({
  form,
  positions: row.edu_positions ?? [],
  count: row.edu_count,
  durableTo: row.durable_to,
  ephemeralTo: row.ephemeral_to,
})
