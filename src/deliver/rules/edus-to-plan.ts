/** What a plan of EDUs is made from (`plan-edus.ts`), and what it chooses. */
import type { EduCount } from '../../matrix/edus/pack.ts'
import type { EdusRead, StoredEdu } from '../../store/delivery/edus.ts'

/** What is known of the PDUs of this transaction. */
export interface PdusBeside {
  /** Whether any waits and could go now. */
  readonly wait: boolean
  /** Whether owed sticky events go in this transaction: what is alone comes after them. */
  readonly sticky: boolean
  /**
   * Bytes of the body that they leave. The caller leaves half of `maxBytes` for durable EDUs, unless sticky events need that. EDUs that don't fit wait.
   */
  readonly bytesLeft: number
}

export interface EduLane extends EdusRead {
  readonly cursor: number
}

export interface EdusToPlan {
  readonly durable: EduLane
  readonly ephemeral: EduLane
  readonly head: number
  /** By the database's clock, ms since the epoch, as all times here. */
  readonly now: number
  /** It has failed for longer than `long_outage_ms`: nothing ephemeral goes, and that need not be read. */
  readonly longOutage: boolean
  /** Types that are switched off. */
  readonly off: ReadonlySet<string>
  /** The last transaction held what is alone. */
  readonly lastWasAlone: boolean
  /** When the last transaction of ephemeral EDUs alone was put together; null: never, or not known. */
  readonly lastEphemeralAt: number | null
  readonly pdus: PdusBeside
}

export interface EduLimits {
  readonly maxEdus: number
  /** Of the body. */
  readonly maxBytes: number
}

/** A beginning of a lane. */
export interface Prefix {
  readonly parts: readonly StoredEdu[]
  /** The lane's own after an answer. */
  readonly cursor: number
  /** Something that goes one day is behind it. */
  readonly stopped: boolean
}

export interface ChosenEdus {
  readonly chosen: { readonly durable: Prefix; readonly ephemeral: Prefix }
  readonly count: EduCount
}
