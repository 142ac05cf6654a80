/**
 * The state of a destination, and one sentence: why nothing goes out, or what goes next.
 *
 * Pure. The state is the first that applies of blocked, paused, dead, backing_off, catching_up, sending, idle (contract, section 4);
 * `refused` comes later.
 */
import type { VetDomain } from '../allow/domains.ts'
import { isDead, nextAttempt } from '../deliver/rules/backoff.ts'
import type { ServerName } from '../matrix/ids.ts'
import type { StateLabel } from '../observe/metrics.ts'
import type { DestinationRow } from '../store/views/destination-row.ts'
import type { StateRow } from '../store/views/destination-list.ts'

/** What a state depends on beside the rows. */
export interface Circumstances {
  now: number
  /** To whom nothing is sent, as of now; null: nobody is blocked. */
  vetDomain: VetDomain | null
  /** After how long one that fails is dead, ms. */
  deadAfterMs: number
}

/** When it may be tried next, ms since the epoch; not after `now`: it is due. */
export function nextAttemptOf(row: StateRow, now: number): number {
  const waiting = {
    failures: row.failures,
    failingSince: row.failing_since,
    retryAt: row.retry_at,
    retryInterval: null,
    holdKind: row.hold_kind,
    holdUntil: row.hold_until,
    adviceAt: row.advice_at,
    adviceUp: row.advice_up,
    adviceAfter: null,
    adviceStep: null,
    askedAt: row.asked_at,
    deadlineAt: row.deadline_at,
    triedAt: null,
    deadlineTries: [],
  }
  return nextAttempt(waiting, now)
}

/** Why the configuration has nothing sent to it, or null. Only server names are stored. */
export const blockedBecause = (name: string, vetDomain: VetDomain | null): string | null =>
  vetDomain?.(name as ServerName) ?? null

export function stateOf(row: StateRow, { now, vetDomain, deadAfterMs }: Circumstances): StateLabel {
  if (blockedBecause(row.name, vetDomain) !== null) return 'blocked'
  if (row.paused) return 'paused'
  if (isDead(row.failing_since, now, deadAfterMs)) return 'dead'
  if (nextAttemptOf(row, now) > now) return 'backing_off'
  if (row.gap_to !== null) return 'catching_up'
  return row.pending_pdus > 0 || row.pending_sticky > 0 || row.open_txn_id !== null ? 'sending' : 'idle'
}

/** What only a look at one destination counts; in a list they are null. */
export interface Closer {
  rooms_left: number | null
  /** When the soonest sticky event that an answer did not list goes again. */
  next_unlisted: number | null
  capped: boolean
}

const FROM_AFAR: Closer = { rooms_left: null, next_unlisted: null, capped: false }

/** One sentence for an operator: why nothing goes out, or what goes next. */
export function reasonOf(
  row: DestinationRow,
  { closer = FROM_AFAR, ...around }: Circumstances & { closer?: Closer },
): string {
  const { now } = around
  const owed = owedText(row, closer)
  const obstacle = obstacleOf(row, { ...around, closer })
  if (obstacle !== null) return owed === null ? obstacle : `${obstacle}; owed: ${owed}`
  if (owed === null) return row.failures > 0 ? `nothing is owed; ${failedText(row)}` : 'nothing is owed'
  const resting = row.pending_pdus === 0 && closer.next_unlisted !== null && closer.next_unlisted > now
  if (!resting) return `goes out next: ${owed}`
  return `sent again at ${time(closer.next_unlisted ?? now)} because an answer did not list it: ${owed}`
}

/** What anything that is owed to it has to wait for; null: nothing. */
export function obstacleOf(
  row: DestinationRow,
  { closer = FROM_AFAR, ...around }: Circumstances & { closer?: Closer },
): string | null {
  const { now, vetDomain } = around
  const blocked = blockedBecause(row.name, vetDomain)
  if (blocked !== null) return `nothing is sent to it, because ${blocked}`
  const state = stateOf(row, around)
  if (state === 'paused') return 'paused by an operator until it is resumed'
  const next = nextAttemptOf(row, now)
  if (state === 'dead') return deadText(row, next > now ? backoffText(row, next) : null)
  if (state === 'backing_off') return backoffText(row, next)
  if (row.open_txn_id !== null) return openText(row)
  if (state !== 'catching_up') return null
  const left = closer.rooms_left === null ? 'the newest event of each room' : count(closer.rooms_left, 'room')
  return `catching up from ${row.gap_from ?? 0} to ${row.gap_to ?? 0}: ${left} to go, then real-time traffic`
}

function deadText(row: DestinationRow, waits: string | null): string {
  const dead = `it has failed since ${time(row.failing_since ?? 0)}, counts as dead and is tried once a week`
  return `${dead}: ${waits ?? (row.process === null ? 'it is due now' : openText(row))}`
}

function backoffText(row: DestinationRow, next: number): string {
  const embargo = row.hold_until !== null && row.hold_until >= next
  if (embargo && row.hold_kind === 'retry_after') {
    return `it asked for no requests before ${time(row.hold_until ?? next)} (Retry-After)`
  }
  if (embargo && row.hold_kind === 'gone') return `it answered 410 (gone): next attempt at ${time(next)}`
  const why = row.deadline_at === next ? ', before a sticky event lapses' : ''
  return `${failedText(row)}: next attempt at ${time(next)}${why}`
}

function failedText({ failures, last_error }: DestinationRow): string {
  const why = last_error?.message ?? last_error?.kind
  const times = failures > 1 ? `the last ${failures} attempts failed` : 'the last attempt failed'
  return why === undefined ? times : `${times} (${why})`
}

function openText(row: DestinationRow): string {
  const what = `transaction ${row.open_txn_id ?? ''} with ${count(row.open_pdus ?? 0, 'PDU')}`
  if (row.process !== null)
    return `${what} is under way (attempt ${row.open_attempt ?? 1}, by ${row.process})`
  if (row.open_void === true)
    return `${what} was withdrawn because of a redaction or purge, and is put together again`
  return `${what} is unanswered and is sent again with the same id and bytes`
}

function owedText(row: DestinationRow, { capped }: Closer): string | null {
  const more = capped ? 'more than ' : ''
  const parts = [
    ...(row.pending_pdus > 0 ? [`${more}${count(row.pending_pdus, 'PDU')}`] : []),
    ...(row.pending_sticky > 0 ? [count(row.pending_sticky, 'sticky event')] : []),
  ]
  return parts.length === 0 ? null : parts.join(' and ')
}

const count = (n: number, noun: string) => `${n.toLocaleString('en-US')} ${noun}${n === 1 ? '' : 's'}`
const time = (ms: number) => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')
