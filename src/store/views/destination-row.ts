/**
 * One destination as operators see it: its row, its gap, its open transaction, and the process that serves it now.
 *
 * Read only. Names are the schema's. What they mean together (the state, why nothing goes out) is decided by the code
 * that reads this.
 */
import type { Db } from '../db.ts'
import type { Isolation } from '../isolation.ts'
import { SET_ASIDE } from '../set-aside.ts'
import { sql } from '../statement.ts'
import type { WaitRow } from '../waits.ts'

/** Why the last attempt failed, as the turn wrote it down. */
export interface LastError {
  kind?: string
  status?: number | null
  message?: string
  at?: number
}

export interface DestinationRow extends Omit<
  WaitRow,
  'advice_after' | 'advice_step' | 'tried_at' | 'deadline_tries'
> {
  id: number
  name: string
  position: number
  /** The stream's newest position at the moment of reading. */
  head: number
  paused: boolean
  quick: boolean
  lists: boolean
  last_attempt: number | null
  last_success: number | null
  last_error: LastError | null
  /** As of the last sweep. */
  pending_pdus: number
  pending_sticky: number
  oldest_pending: number | null
  /** Durable EDUs that wait, with those that are set aside; null or absent: they were not counted. */
  pending_edus?: number | null
  /** It is seen at a glance to be owed some (`owed-edus.ts`). */
  owes_edus?: boolean
  gap_from: number | null
  gap_to: number | null
  open_txn_id: string | null
  open_created_at: number | null
  open_started_at: number | null
  open_attempt: number | null
  open_pdus: number | null
  open_edus: number | null
  open_void: boolean | null
  /** It answers everything by 401 or 403, also an empty transaction. */
  locked: boolean
  /** What refusals have taught of it; null: nothing. */
  isolation: Isolation | null
  /** PDUs that were set aside, each tried alone; PDUs that a search has, or a room that goes on. */
  set_aside: number
  edus_aside: number
  suspects: number
  /** Rooms that are held. */
  held_rooms: number
  /** When the first of what is set aside and held is tried next, ms since the epoch; null: nothing is. */
  next_aside: number | null
  /** The process whose request is under way; null: none is. */
  process: string | null
}

/** A condition on `d`: nobody is let in. JSON's null is none. */
export const LOCKED_OUT = `coalesce(d.isolation->>'locked', '') <> ''`

/**
 * A transaction is in flight while the worker that started it still holds the destination's lease. Where nothing was refused nothing is looked for: of
 * ten thousand destinations most have nothing apart.
 */
const SELECT_DESTINATION = `
  select d.id, d.name, d.position, s.head, d.paused, d.quick, d.lists, d.failures, d.failing_since, d.retry_at,
         d.retry_interval, d.hold_kind, d.hold_until, d.advice_at, d.advice_up, d.asked_at, d.deadline_at, d.last_attempt,
         d.last_success, d.last_error, d.pending_pdus, d.pending_sticky, d.oldest_pending,
         g.from_pos as gap_from, g.to_pos as gap_to,
         o.txn_id as open_txn_id, o.created_at as open_created_at, o.started_at as open_started_at,
         o.attempt as open_attempt, cardinality(o.positions) as open_pdus, o.edus as open_edus, o.void as open_void,
         ${LOCKED_OUT} as locked, d.isolation, a.set_aside, a.suspects, h.held_rooms, u.edus_aside, least(a.next_at, h.next_at, u.next_at) as next_aside,
         w.name as process
    from destinations d
   cross join stream s
   cross join lateral (
     select count(*) filter (where ${SET_ASIDE}) as set_aside, count(*) filter (where a.grp is not null) as suspects,
            min(a.next_at) filter (where a.grp is null) as next_at
       from apart a where a.destination = d.id and d.isolation is not null) a
   cross join lateral (
     select count(*) as held_rooms, min(w.next_at) as next_at
       from waiting_rooms w where w.destination = d.id and w.held_since is not null and d.isolation is not null) h
   cross join lateral (
     select count(*) as edus_aside, min(x.next_at) as next_at
       from edus_apart x where x.destination = d.id and x.sure and d.isolation is not null) u
    left join gaps g on g.destination = d.id and g.closed_at is null
    left join open_transactions o on o.destination = d.id
    left join workers w on w.id = o.worker and w.id = d.lease_owner and w.lease_until > (select now_ms())`

const BY_NAME = sql('read a destination by name', `${SELECT_DESTINATION} where d.name = $1`)

/** The destination called `name`, or null where it is not known. */
export async function findDestination(db: Db, name: string): Promise<DestinationRow | null> {
  const { rows } = await db.query<DestinationRow>(BY_NAME, [name])
  return rows[0] ?? null
}

const BY_ID = sql('read destinations by id', `${SELECT_DESTINATION} where d.id = any($1::int[])`)

/** The destinations with these ids, in no order. */
export async function readDestinations(db: Db, ids: readonly number[]): Promise<DestinationRow[]> {
  const { rows } = await db.query<DestinationRow>(BY_ID, [ids])
  return rows
}
