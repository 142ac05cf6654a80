/**
 * What the model test needs of limpet: items in, looks at one destination, and what its rows say.
 *
 * There are two of it: one in memory around the pure functions, and the real one on PostgreSQL.
 */
import type { SendResult } from '../../src/wire/send.ts'

/** `us`: the destination that is watched; `other`: some other server. */
export type Server = 'us' | 'other'

export type ModelItem =
  | {
      type: 'event'
      room: number
      eventId: string
      pdu: string
      stickyMs: number | null
      /** `to`: exactly these. */
      to: Server[] | null
      alsoTo: Server[]
      notTo: Server[]
    }
  | { type: 'servers'; room: number; add: Server[]; remove: Server[] }
  | { type: 'redact'; eventId: string; pdu: string }
  | { type: 'purge'; room: number }

/** A transaction as it was frozen. */
export interface FrozenView {
  txnId: string
  body: string
  positions: number[]
  lanes: string
  /** Head of the stream when it was read. */
  readAt: number
  /** When it was frozen by the database's clock. */
  frozenAt: number
}

export interface Hooks {
  beforeFreeze(): Promise<void>
  frozen(view: FrozenView): Promise<void>
  send(request: { txnId: string; body: string }): Promise<SendResult>
  beforeWritten(): Promise<void>
}

export interface View {
  now: number
  head: number
  position: number
  paused: boolean
  failures: number
  lookAt: number | null
  openTxn: string | null
  /** All that were ever opened. */
  gaps: { from: number; to: number; open: boolean }[]
}

export interface Driver {
  /** Takes items in one commit; the position of the last and the time at which they were taken. */
  append(items: readonly ModelItem[]): Promise<{ last: number; now: number }>
  now(): Promise<number>
  moveClock(byMs: number): Promise<void>
  /** False: refused. */
  wish(wish: 'wake' | 'pause' | 'resume' | 'reset'): Promise<boolean>
  serverUp(): Promise<void>
  /** Takes the destination, and looks until something was sent or there is nothing to do. */
  look(hooks: Hooks): Promise<'sent' | 'nothing' | 'lost'>
  /** The worker is dead, or its lease is over; the next look is another one's. */
  newWorker(): Promise<void>
  /** Null: the destination is not known yet. */
  view(): Promise<View | null>
}

/** What both run with: small, so that short schedules come to every edge. */
export const SETTINGS = {
  maxPdus: 5,
  maxBodyBytes: 1_024 + 1_500,
  catchUp: { threshold_pdus: 6, min_age_ms: 300_000 },
  backoff: { first_ms: 5_000, multiplier: 2, max_ms: 3_600_000, jitter: 0.2 },
  requestTimeoutMs: 60_000,
  maxStickyMs: 3_600_000,
}
/** What the PDUs of one transaction may take together, bytes. */
export const MAX_PDU_BYTES = SETTINGS.maxBodyBytes - 1_024
