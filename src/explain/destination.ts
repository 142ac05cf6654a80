/**
 * The state of a destination, and one sentence: why nothing goes out, or what goes next.
 *
 * Pure. The state is the first that applies of blocked, paused, dead, refused, backing_off, catching_up, sending, idle (contract, section 4).
 */
import type { VetDomain } from '../allow/domains.ts'
import { isDead, nextAttempt } from '../deliver/rules/backoff.ts'
import { halfAt } from '../deliver/rules/isolation.ts'
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
  if (row.locked) return 'refused'
  if (nextAttemptOf(row, now) > now) return 'backing_off'
  if (row.gap_to !== null) return 'catching_up'
  const owesEdus = (row.pending_edus ?? 0) > 0 || row.owes_edus === true
  const owed = row.pending_pdus > 0 || row.pending_sticky > 0 || owesEdus
  return owed || row.open_txn_id !== null ? 'sending' : 'idle'
}

/** What only a look at one destination counts; in a list they are null. */
export interface Closer {
  rooms_left: number | null
  /** When the soonest sticky event that an answer did not list goes again. */
  next_unlisted: number | null
  capped: boolean
  /** There are more durable EDUs, or it is not known whether. */
  edus_capped: boolean
  /** Of what is owed: what is set aside, or of a held room. */
  pdus_resting: number | null
  sticky_resting: number | null
}

export const FROM_AFAR: Closer = {
  ...{ rooms_left: null, next_unlisted: null, capped: false, edus_capped: false },
  ...{ pdus_resting: null, sticky_resting: null },
}

/** One sentence for an operator: why nothing goes out, or what goes next. */
export function reasonOf(
  row: DestinationRow,
  { closer = FROM_AFAR, ...around }: Circumstances & { closer?: Closer },
): string {
  const { now } = around
  const next = nextOf(row, { ...around, closer })
  const apart = [searchText(row, now), asideText(row)].filter((text) => text !== null)
  const failed = next === null && row.failures > 0 ? failedText(row) : null
  const all = [next ?? (apart.length === 0 ? 'nothing is owed' : null), failed, ...apart]
  return all.filter((text) => text !== null).join('; ')
}

/** What its lanes wait for, or what goes next; null: nothing. */
function nextOf(
  row: DestinationRow,
  { closer, ...around }: Circumstances & { closer: Closer },
): string | null {
  const { now } = around
  const owed = owedText(row, closer)
  const obstacle = obstacleOf(row, { ...around, closer })
  if (obstacle !== null) return owed === null ? obstacle : `${obstacle}; owed: ${owed}`
  if (owed === null) return null
  const resting =
    row.pending_pdus === 0 &&
    eduCount(row) === 0 &&
    closer.next_unlisted !== null &&
    closer.next_unlisted > now
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
  if (state === 'refused') return lockedText(row, next > now ? next : null)
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

/** `next` null: it is due. */
function lockedText(row: DestinationRow, next: number | null): string {
  const said = row.isolation?.last?.message ?? row.last_error?.message
  const lets = `it refuses everything by 401 or 403, an empty transaction too${said === undefined ? '' : ` (${said})`}`
  if (next !== null) return `${lets}: next attempt at ${time(next)}`
  return `${lets}: ${row.open_txn_id === null ? 'it is due now' : openText(row)}`
}

/** What it refused is looked for; null: nothing is. */
function searchText({ isolation, suspects }: DestinationRow, now: number): string | null {
  if (isolation === null || suspects === 0) return null
  if (isolation.search === null)
    return `${count(suspects, 'PDU')} of rooms that waited ${suspects === 1 ? 'goes' : 'go'} out with that`
  const at = halfAt(isolation, now, false)
  const when = at === null ? '' : `, the next at ${time(at)}`
  return `it refuses some of ${count(suspects, 'PDU')}, which are sent in halves to find which${when}`
}

/** What is tried again at its own time; null: nothing is. */
function asideText({ set_aside, edus_aside, held_rooms, next_aside }: DestinationRow): string | null {
  const parts = [
    ...(set_aside > 0
      ? [`${count(set_aside, 'PDU')} that it refuses ${set_aside === 1 ? 'is' : 'are'} set aside`]
      : []),
    ...(edus_aside > 0
      ? [`${count(edus_aside, 'EDU')} that it refuses ${edus_aside === 1 ? 'is' : 'are'} set aside`]
      : []),
    ...(held_rooms > 0
      ? [`${count(held_rooms, 'room')} of which it refuses much ${held_rooms === 1 ? 'is' : 'are'} held`]
      : []),
  ]
  if (parts.length === 0) return null
  return `${parts.join(' and ')}${next_aside === null ? '' : ` (next try at ${time(next_aside)})`}`
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
  const edus = (row.open_edus ?? 0) > 0 ? ` and ${count(row.open_edus ?? 0, 'EDU')}` : ''
  const what = `transaction ${row.open_txn_id ?? ''} with ${count(row.open_pdus ?? 0, 'PDU')}${edus}`
  if (row.process !== null)
    return `${what} is under way (attempt ${row.open_attempt ?? 1}, by ${row.process})`
  if (row.open_void === true)
    return `${what} was withdrawn because of a redaction, a purge or an operator's drop, and is put together again`
  return `${what} is unanswered and is sent again with the same id and bytes`
}

/** Beside what is set aside, and held rooms: from afar only as far as these are counted. */
function owedText(
  row: DestinationRow,
  { capped, edus_capped, pdus_resting, sticky_resting }: Closer,
): string | null {
  const more = capped ? 'more than ' : ''
  const pdus = row.pending_pdus - (pdus_resting ?? row.set_aside)
  const sticky = row.pending_sticky - (sticky_resting ?? 0)
  const edus = eduCount(row)
  const parts = [
    ...(pdus > 0 ? [`${more}${count(pdus, 'PDU')}`] : []),
    ...(sticky > 0 ? [count(sticky, 'sticky event')] : []),
    ...(edus > 0 ? [`${edus_capped ? 'at least ' : ''}${count(edus, 'EDU')}`] : []),
    // Seen, and not counted.
    ...(row.owes_edus === true && (row.pending_edus ?? null) === null ? ['EDUs'] : []),
  ]
  return parts.length === 0 ? null : parts.join(' and ').replace(/ and (?=.* and )/, ', ')
}

/** Of their lane: what is set aside is told by itself. */
const eduCount = ({ pending_edus, edus_aside }: DestinationRow): number =>
  Math.max(0, (pending_edus ?? 0) - edus_aside)

const count = (n: number, noun: string) => `${n.toLocaleString('en-US')} ${noun}${n === 1 ? '' : 's'}`
const time = (ms: number) => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')
