/** A destination as the admin API shows it, in `GET /v1/destinations/{server}` and in the list. */
import type { DestinationRow } from '../../store/views/destination-row.ts'
import {
  nextAttemptOf,
  reasonOf,
  stateOf,
  type Circumstances,
  type Closer,
} from '../../explain/destination.ts'

/** States of those that wait for their next attempt. */
const WAITING: ReadonlySet<string> = new Set(['dead', 'refused', 'backing_off'])

/**
 * The API's row. `closer` is what only a look at one destination counts: in a list `gap.rooms_left` is null,
 * and backlog is as of the last sweep.
 */
export function viewDestination(row: DestinationRow, around: Circumstances, closer?: Closer) {
  const { now } = around
  const next = nextAttemptOf(row, now)
  const state = stateOf(row, around)
  return {
    destination: row.name,
    state,
    reason: reasonOf(row, { ...around, ...(closer && { closer }) }),
    position: row.position,
    head: row.head,
    pending_pdus: row.pending_pdus,
    pending_sticky: row.pending_sticky,
    pending_edus: row.pending_edus ?? null,
    ...(closer?.edus_capped === true && { pending_edus_capped: true }),
    ...(closer?.capped === true && { pending_capped: true }),
    oldest_pending_ms: ageOf(row.oldest_pending, now),
    in_flight: inFlight(row),
    open_transaction: openTransaction(row),
    gap:
      row.gap_to === null
        ? null
        : { from: row.gap_from, to: row.gap_to, rooms_left: closer?.rooms_left ?? null },
    quarantined: row.set_aside + row.edus_aside + row.held_rooms,
    failing_since: row.failing_since,
    last_attempt: row.last_attempt,
    next_attempt: WAITING.has(state) && next > now ? next : null,
    retry_interval_ms: row.retry_interval,
    last_error: row.last_error && {
      kind: row.last_error.kind ?? null,
      status: row.last_error.status ?? null,
      message: row.last_error.message ?? null,
      at: row.last_error.at ?? null,
    },
    last_success: row.last_success,
  }
}

export type DestinationView = ReturnType<typeof viewDestination>

/** How long ago, ms; null: never. Never negative, should a clock have been set back. */
export const ageOf = (at: number | null, now: number) => (at === null ? null : Math.max(0, now - at))

function inFlight(row: DestinationRow) {
  if (row.open_txn_id === null || row.process === null) return null
  return {
    txn_id: row.open_txn_id,
    since: row.open_started_at,
    attempt: row.open_attempt,
    process: row.process,
  }
}

function openTransaction(row: DestinationRow) {
  if (row.open_txn_id === null) return null
  return {
    txn_id: row.open_txn_id,
    created_at: row.open_created_at,
    attempt: row.open_attempt,
    pdus: row.open_pdus,
    edus: row.open_edus,
    // A redaction, a purge or an operator's drop took its bytes: it is planned anew at the next attempt.
    void: row.open_void,
  }
}
