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

/** An EDU of ours, cut at ingest. */
export interface EduItem {
  readonly type: 'edu'
  readonly eduType: string
  /** Exactly one of the two, each name once: the servers in these rooms at this point of the stream, or these servers. */
  readonly audience: { readonly rooms: readonly RoomId[] } | { readonly destinations: readonly string[] }
  /** In their order; none where all of it was left out. */
  readonly parts: readonly EduPart[]
  readonly ignored: readonly IgnoredEdu[]
}

/** What of an EDU can be replaced, lapse or be sent by itself: a receipt, the presence of a user, any other EDU. */
export interface EduPart {
  /** Canonical JSON, made once here: the content of an EDU that holds this part alone. */
  readonly content: string
  /** A later part of the same type and key replaces it; at most 512 bytes; null: nothing does. */
  readonly key: string | null
  readonly durable: boolean
  /** For how long it is worth sending, from when it is taken; null: for as long as `retention.durable_edus_ms` says. */
  readonly ttlMs: number | null
  /** As an EDU it has more than 65,536 bytes, and is sent in a transaction of its own (MSC4514). */
  readonly alone: boolean
  /** Of `m.device_list_update`: the user whose devices they are. */
  readonly deviceListOf?: string
  /** Of `m.direct_to_device`: its id, at most 32 code points. */
  readonly messageId?: string
}

/** What was left out of an EDU: its type, and the user or message where that is known; at most 255 characters. */
export interface IgnoredEdu {
  readonly value: string
  readonly why: EduIgnoredWhy
}

/** It has not the form of its type; it can't be canonical JSON; it has more than 1 MiB; it must not leave the server. */
export type EduIgnoredWhy = 'malformed' | 'not_canonical' | 'too_large' | 'private'

export type Item = EventItem | ServersItem | RedactItem | PurgeItem | EraseItem | ServerUpItem | EduItem
