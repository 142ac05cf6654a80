/**
 * A lane: what a destination is owed for one reason, in the order of the stream. It is written once: it reads what is owed, it
 * offers that to a transaction, and it says what an answer acknowledges. All lanes are in `list.ts`, first things first; a
 * transaction that is planned from rows and one of a followed destination both go through them.
 */
import type { LoggedEvent } from '../../store/delivery/log-tail.ts'
import type { Pool } from '../../store/db.ts'
import type { Found, Most } from '../../store/within-bytes.ts'

export interface OwedPdu {
  pos: number
  eventId: string
  /** Canonical JSON. */
  pdu: string
  /** It was ever sticky (and not redacted since): what an answer says of it is noted. */
  sticky: boolean
  /** When ingest took it, ms since the epoch. */
  receivedTs: number
  /** It goes in a transaction of its own (contract 5.9). */
  odd?: boolean
  /** Of a replay, by the database's clock: from this moment it must not go as one any more. */
  expiresAt?: number
}

/** One for each PDU in `open_transactions.lanes`, for operators: timeline, catch-up, sticky replay. Two lanes share `s`. */
export type LaneLetter = 't' | 'c' | 's'
/** A capital: it is apart (`store/delivery/apart.ts`). */
export type Letter = LaneLetter | 'T' | 'C' | 'S'

/** A row of `sticky_owed`; `room` null: the gap's. */
export interface StickyCursor {
  room: number | null
  upto: number | null
  cursor: number
}

/** What a look has read, without the texts. */
export interface Look {
  now: number
  position: number
  /** Up to where the log was read. */
  head: number
  gap: { id: number; from: number; to: number; cursor: number; batch: number } | null
  owed: StickyCursor[]
  /** When the next unlisted sticky event is due. */
  unlistedAt: number | null
}

/** What a lane has, in stream order; `all`: that is all it has. */
export type Items = Readonly<Found<OwedPdu>>

export const NO_ITEMS: Items = { pdus: [], all: true }
/** To know whether there is anything. */
export const ONE: Most = { rows: 1, bytes: 0 }

export interface Reading extends Look {
  /** By the names of the lanes; a lane that is left out has nothing. */
  items: Readonly<Partial<Record<string, Items>>>
}

/** What an answer acknowledges. */
export interface Acknowledges {
  /** The position after it. */
  position: number
  gapCursor: number | null
  closesGap: boolean
  sticky: StickyCursor[]
}

export const NOTHING: Readonly<Partial<Acknowledges>> = {}

/** The places of one transaction. */
export interface Space {
  readonly maxPdus: number
  taken(): number
  has(pos: number): boolean
  /** False where no place is left for it. What has one already costs nothing. */
  give(pdu: OwedPdu, letter: Letter): boolean
}

export interface Lane {
  readonly name: string
  /** Whether it owes anything: asked before there is a connection, so bounded, and without a text. */
  owes(db: Pool, id: number, look: Look): Promise<boolean>
  /** What it owes, no more than `most`; `before`: how many PDUs the lanes before it have. */
  read(db: Pool, id: number, look: Look, most: Most & { before: number }): Promise<Items>
  /**
   * Gives its items places, and returns what an answer then acknowledges. Pure. Always: a prefix of the lane, so that no cursor
   * passes something that is owed and was not chosen.
   */
  offer(reading: Reading, space: Space): Partial<Acknowledges>
  /** Whether an event of the log belongs to it while its destination is followed; absent: a destination that is owed something of this lane is not followed. */
  takes?: (event: LoggedEvent) => boolean
}
