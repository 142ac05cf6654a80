/**
 * What a source tells limpet, after it was looked at: the items of the ingest API (contract, section 3) as types.
 *
 * An `Item` has passed every check that needs no database: its fields and their types, sizes, the event id
 * against the reference hash. Server names have not been looked at: an item of a thousand names with one that is no
 * server name is taken, and the name listed in the answer, so that nothing odd stops the stream.
 */
import type { EventId, RoomId } from '../matrix/ids.ts'

/** Who gets an event: exactly `to`; or the room's servers at its position, with `alsoTo` and without `notTo`. */
export type Audience =
  | { readonly to: readonly string[] }
  | { readonly alsoTo: readonly string[]; readonly notTo: readonly string[] }

export interface EventItem {
  readonly type: 'event'
  readonly roomId: RoomId
  readonly roomVersion: string
  readonly eventId: EventId
  /** Canonical JSON, made once here; what every destination is sent. */
  readonly pdu: string
  readonly sender: string
  /** Milliseconds since the epoch, as the PDU says. */
  readonly originServerTs: number
  /** Milliseconds, more than 0 and not capped; null: not sticky, flagged `sticky: false`, or not sent by one of ours. */
  readonly stickyDurationMs: number | null
  readonly audience: Audience
}

export interface ServersItem {
  readonly type: 'servers'
  readonly roomId: RoomId
  readonly change:
    | { readonly add: readonly string[]; readonly remove: readonly string[] }
    | { readonly set: readonly string[] }
}

export interface RedactItem {
  readonly type: 'redact'
  readonly eventId: EventId
  /** The redacted form, canonical JSON. */
  readonly pdu: string
  readonly sender: string
}

export interface PurgeItem {
  readonly type: 'purge'
  readonly roomId: RoomId
}

/** Advice that a server is reachable again: not durable, takes no position. */
export interface ServerUpItem {
  readonly type: 'server_up'
  readonly server: string
}

export type Item = EventItem | ServersItem | RedactItem | PurgeItem | ServerUpItem

/** One request to take items: all of them are taken or none is. */
export interface IngestRequest {
  /** Names the producer's stream. */
  readonly source: string
  /** Stored in the same commit as the items; undefined: the request does not speak of it, and it stays. */
  readonly sourceToken: string | null | undefined
  /** Taken only if this is what is stored (null: nothing yet); undefined: no such condition. */
  readonly ifSourceToken: string | null | undefined
  readonly items: readonly Item[]
}

export type AppendResult =
  | {
      readonly kind: 'taken'
      /** Of the last item; the stream's head where nothing new was stored. */
      readonly position: number
      readonly accepted: number
      readonly duplicates: number
      readonly ignored: readonly { readonly index: number; readonly value: string }[]
      readonly unknownRooms: readonly string[]
    }
  | { readonly kind: 'token_mismatch'; readonly sourceToken: string | null }
  | { readonly kind: 'unavailable'; readonly message: string }
  | { readonly kind: 'busy'; readonly retryAfterMs: number }

/** The one way in. It does not throw for a database that is away: that is `unavailable`, the outcome unknown. */
export type Append = (request: IngestRequest) => Promise<AppendResult>
