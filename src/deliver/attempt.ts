/** What is known of an attempt when it has ended, beside what came of it. Types only. */
import type { DestinationState, StoredAcknowledges } from '../store/delivery/destination.ts'
import type { Held } from '../store/delivery/leases.ts'
import type { ApartTransaction } from './rules/plan.ts'

/** An attempt that was made, or that failed to reach its destination. */
export interface Attempt {
  held: Held
  state: DestinationState
  /** Null: no transaction was open when the connection failed. */
  txnId: string | null
  acknowledges: StoredAcknowledges
  /** Its PDUs are apart; null: they are not. */
  apart: ApartTransaction | null
  /** Of its body. */
  bytes: number
  firstAttempt: boolean
  /** The attempt before it was another worker's. */
  afterTakeover: boolean
  /** Whether any of its PDUs is sticky; true where that is not known. */
  anySticky: boolean
  /** What it took to have a connection, ms: a server that lets us wait for one is slow. */
  connectMs: number
  /** By the database's clock, when it wrote that the attempt begins. */
  startedAt: number
  /** What that write took at most, ms: the request goes out at most that much later than `startedAt`. */
  writtenMs: number
}
