/**
 * What a source tells limpet, as types: the items of the ingest API (contract, section 3), after their checks.
 *
 * An `Item` has passed every check that needs no database: fields and their types, sizes, and the event id against the
 * reference hash. Server names have not been checked: an item with a thousand names, one of them invalid, is taken,
 * and the answer lists that name, so that nothing odd stops the stream.
 */
import type { EventId, RoomId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json-value.ts'

/** Which servers get an event: exactly `to`; or the room's servers at its position, with `alsoTo` and without `notTo`. */
export type Recipients =
  | { readonly to: readonly string[] }
  | { readonly alsoTo: readonly string[]; readonly notTo: readonly string[] }

export interface EventItem {
  readonly type: 'event'
  readonly roomId: RoomId
  readonly roomVersion: string
  readonly eventId: EventId
  /** Canonical JSON, made once here; what every destination is sent. */
  readonly pdu: string
  /** It holds numbers outside canonical JSON, or is nested beyond 100 levels: it is sent alone. Absent: it is not. */
  readonly odd?: boolean
  readonly sender: string
  /** Milliseconds since the epoch, as the PDU says. */
  readonly originServerTs: number
  /** Milliseconds, more than 0 and not capped; null: not sticky, flagged `sticky: false`, or not sent by one of ours. */
  readonly stickyDurationMs: number | null
  readonly audience: Recipients
}

export interface ServersItem {
  readonly type: 'servers'
  readonly roomId: RoomId
  readonly change:
    | { readonly add: readonly string[]; readonly remove: readonly string[] }
    /** Servers of `keep` (not part of the HTTP API) stay where they are in the room, and are not added. */
    | { readonly set: readonly string[]; readonly keep?: readonly string[] }
}

export interface RedactItem {
  readonly type: 'redact'
  readonly eventId: EventId
  /** The redacted form, canonical JSON: what is sent in the event's place. */
  readonly pdu: string
  /** The same, for the check of its id: only the database knows the room's version. */
  readonly parsed: JsonObject
  readonly sender: string
}

export interface PurgeItem {
  readonly type: 'purge'
  readonly roomId: RoomId
}

/** What is stored of a sender, or of these events, at this point of the stream is sent no more. */
export type EraseItem = { readonly type: 'erase' } & (
  | { readonly sender: string; readonly eventIds: null }
  /** Each once, at least one. */
  | { readonly sender: null; readonly eventIds: readonly EventId[] }
)

/** Advice that a server is reachable again: not durable, takes no position. */
export interface ServerUpItem {
  readonly type: 'server_up'
  readonly server: string
}

export type Item = EventItem | ServersItem | RedactItem | PurgeItem | EraseItem | ServerUpItem
