/** The words in which the model speaks of limpet: what is told to it, and what can be seen of it. */

/** The destination that is watched, and some other server. */
export const US = 'us.example'
export const OTHER = 'other.example'
export const OURS = 'home.example'

/** Globs that an operator blocks: both are for us. */
export const GLOBS = [US, '*.example'] as const

export type Server = 'us' | 'other'
/** Users of ours. */
export type Sender = 'one' | 'two'

export type ModelItem =
  | {
      type: 'event'
      room: number
      eventId: string
      /** Whose it is. */
      by: Sender
      pdu: string
      stickyMs: number | null
      /** `to`: exactly these. */
      to: Server[] | null
      alsoTo: Server[]
      notTo: Server[]
      /** It is sent alone. */
      odd: boolean
    }
  | { type: 'servers'; room: number; add: Server[]; remove: Server[] }
  | {
      type: 'edu'
      eduType: string
      content: object
      /** The servers in these rooms, or these servers: one of the two. */
      rooms: number[] | null
      to: Server[] | null
      /** As its producer says. */
      key: string | null
      ttlMs: number | null
      durable: boolean
      /** It is too large for others beside it, whatever its size here. */
      alone: boolean
      parts: ModelPart[]
    }
  /** The whole list; those in `keep` who are in the room stay in it. */
  | { type: 'set'; room: number; set: Server[]; keep: Server[] }
  | { type: 'redact'; eventId: string; pdu: string }
  | { type: 'purge'; room: number }
  /** Of what is stored: these, or all of a sender. */
  | { type: 'erase'; eventIds: string[] }
  | { type: 'erase'; by: Sender }

/** What of an EDU is replaced, and is over, by itself. */
export interface ModelPart {
  /** It is somewhere in its content, and in no other's. */
  n: number
  /** A later one of the same type replaces it; null: none does. */
  key: string | null
  /** Null: as long as durable ones are kept. */
  ttlMs: number | null
  /** Of a device list the user. */
  deviceListOf: string | null
}

/** A transaction as it was frozen. */
export interface FrozenView {
  txnId: string
  positions: readonly number[]
  lanes: string
  /** The place in the stream up to which its texts were known. */
  readAt: number
  /** Its `origin_server_ts`. */
  madeAt: number
  /** When it was frozen by the database's clock. */
  frozenAt: number
  /** By a holder that follows the log, right after an answer. */
  steady: boolean
  edus: FrozenEdus
}

/** The EDUs of a transaction. */
export interface FrozenEdus {
  /** Of their parts. */
  positions: readonly number[]
  /** As packed. */
  count: number
  /** The cursors of both lanes after an answer; null: they stay. */
  durableTo: number | null
  ephemeralTo: number | null
  as: 'ephemeral' | 'alone' | null
}

/** What the rows say of the watched destination. */
export interface View {
  /** Of its row. */
  id: number
  now: number
  head: number
  position: number
  /** The cursors of its EDUs. */
  durablePos: number
  ephemeralPos: number
  paused: boolean
  /** By an operator's block. */
  blocked: boolean
  failures: number
  /** When its next ordinary attempt is. */
  retryAt: number | null
  failingSince: number | null
  /** By a 429 or a 410. */
  held: boolean
  lookAt: number | null
  /** The worker that has it, alive or not. */
  owner: string | null
  /** Workers whose leases are not over. */
  living: string[]
  openTxn: string | null
  /** PDUs that are out of all lanes; those of them that are being searched; and those that were set aside and are tried alone. */
  apart: number[]
  /** When each of these was taken out, or set aside. */
  apartSince: ReadonlyMap<number, number>
  searched: number[]
  setAside: number[]
  /** Rooms that are held, by their numbers in the database. */
  heldRooms: number[]
  /** It has learned that less goes at once. */
  limited: boolean
  /** So often in a row nothing could be concluded, and nothing was answered 200. */
  unsure: number
  /** EDUs that are out of their lane; and whether some are searched. */
  edusApart: { pos: number; sure: boolean; tries: number; nextAt: number }[]
  edusSearched: boolean
  /** Rooms of which nothing after `cursor` is in a lane. */
  waitingRooms: { room: number; cursor: number }[]
  /** All that were ever opened. */
  gaps: { from: number; to: number; open: boolean }[]
}

/** What all run with: small, so that short schedules come to every edge. */
export const SETTINGS = {
  maxPdus: 5,
  maxBodyBytes: 1_024 + 1_500,
  edus: { maxEdus: 5, off: new Set(['org.example.off']), durableMs: 5 * 3_600_000 },
  bodiesBytes: 1_000_000,
  catchUp: { threshold_pdus: 6, min_age_ms: 300_000 },
  backoff: { first_ms: 5_000, multiplier: 2, max_ms: 3_600_000, jitter: 0.2, dead_after_ms: 7_200_000 },
  deadline: { deadline_retries: true, deadline_retry_min_ms: 30_000, long_outage_ms: 3_600_000 },
  requestTimeoutMs: 60_000,
  maxStickyMs: 3_600_000,
  lingerMs: 2_000,
  leaseMs: 15_000,
  /** There is only one destination that answers: it alone says whether the fault is ours. */
  faults: { windowMs: 120_000, least: 1, many: 2 },
  probeMs: 15_000,
  /** How long the log is kept, and what is kept of it. */
  eventsMs: 3_600_000,
  newestEventMs: 3 * 3_600_000,
}
/** What the PDUs of one transaction may take together, bytes. */
export const MAX_PDU_BYTES = SETTINGS.maxBodyBytes - 1_024
