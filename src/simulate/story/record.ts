/**
 * What limpet was told, in the order in which it was told: everything that a verdict needs to know of the sender's
 * side.
 *
 * Times are milliseconds since the epoch by this machine's clock, which the embedded database shares.
 */
import type { KeptEdus } from '../fleet/edu-memory.ts'

export interface ToldItem {
  /** When the request that carried it began. */
  readonly at: number
  /** When that request was answered with 200. */
  readonly takenAt: number
  readonly room: string
}

export interface ToldEvent extends ToldItem {
  readonly kind: 'event'
  readonly eventId: string
  /** Until when it is sticky (exclusive), or null for an ordinary event. */
  readonly stickyUntil: number | null
  /** Exactly these servers; null: those that are in the room at this point. */
  readonly to: readonly string[] | null
}

export interface ToldMembership extends ToldItem {
  readonly kind: 'join' | 'leave'
  readonly servers: readonly string[]
}

export type Told = ToldEvent | ToldMembership

/** What one receiving homeserver wrote down: `FakeHomeserver` fits. */
export interface Heard {
  readonly serverName: string
  /** In the order in which their first requests arrived. */
  readonly transactions: readonly HeardTransaction[]
  /** The events it took (and did not drop), by id. */
  readonly received: { has(eventId: string): boolean }
  readonly violations: readonly string[]
  /** What it noted of EDUs; none: nothing. */
  readonly edus?: Pick<KeptEdus, 'notEntitled'>
  readonly mostOpenAtOnce: number
}

export interface HeardTransaction {
  readonly txnId: string
  readonly body: string | null
  readonly pduIds: readonly string[]
  /** Read from its body; where it is not said, `putTogether` looks there itself. */
  readonly originServerTs?: number | null
  readonly requestsAt: readonly number[]
  /** Null while it was not processed. */
  readonly response: string | null
  readonly answered: boolean
}

// Canonical JSON, so that these three are always the first; PDUs hold the same words further on.
const HEAD = /^\{(?:"edus":\[\],)?"origin":"[^"]*","origin_server_ts":(\d+),"pdus":/

/**
 * When the transaction was put together: what it says itself, or, where that can't be read, when it arrived
 * first. Never later than that.
 */
export function putTogether({ body, originServerTs, requestsAt }: HeardTransaction): number {
  const arrived = requestsAt[0] ?? 0
  if (typeof originServerTs === 'number') return Math.min(arrived, originServerTs)
  const said = HEAD.exec(body?.slice(0, 400) ?? '')?.[1]
  return said === undefined ? arrived : Math.min(arrived, Number(said))
}

/** Whether the answer names the event among its `pdus`; an answer without `pdus` lists all. */
export function lists({ response }: HeardTransaction, eventId: string): boolean {
  if (response === null) return false
  const { pdus } = JSON.parse(response) as { pdus?: Record<string, unknown> }
  return pdus === undefined || Object.hasOwn(pdus, eventId)
}
