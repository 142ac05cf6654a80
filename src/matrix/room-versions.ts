/**
 * The differences between room versions that matter to a sender of finished events.
 *
 * Spec: rooms/v1 to rooms/v12. Authorisation and state resolution are the homeserver's, and do not appear.
 */
export interface RoomVersion {
  /** As in the create event: `1` to `12`. */
  readonly version: string
  /** Versions 1 and 2 carry `event_id` in the event; 3 hashes it in base64, 4 and later in the URL-safe kind. */
  readonly eventId: 'inside' | 'base64' | 'base64url'
  /** Which list of what survives a redaction, named by the version that brought it. */
  readonly redaction: 1 | 6 | 8 | 9 | 11
  /** Numbers outside canonical JSON: tolerated up to 5, an error from 6 on ("Canonical JSON" of each version). */
  readonly oddNumbers: 'keep' | 'refuse'
  /** Up to 11 `!opaque:domain`; from 12 on the create event's id with `!` for `$`, and that event has no `room_id`. */
  readonly roomId: 'with domain' | 'create event'
}

const VERSIONS = new Map<string, RoomVersion>(
  (
    [
      ['1', 'inside', 1, 'keep', 'with domain'],
      ['2', 'inside', 1, 'keep', 'with domain'],
      ['3', 'base64', 1, 'keep', 'with domain'],
      ['4', 'base64url', 1, 'keep', 'with domain'],
      ['5', 'base64url', 1, 'keep', 'with domain'],
      ['6', 'base64url', 6, 'refuse', 'with domain'],
      ['7', 'base64url', 6, 'refuse', 'with domain'],
      ['8', 'base64url', 8, 'refuse', 'with domain'],
      ['9', 'base64url', 9, 'refuse', 'with domain'],
      ['10', 'base64url', 9, 'refuse', 'with domain'],
      ['11', 'base64url', 11, 'refuse', 'with domain'],
      ['12', 'base64url', 11, 'refuse', 'create event'],
    ] as const
  ).map(([version, eventId, redaction, oddNumbers, roomId]) => [
    version,
    { version, eventId, redaction, oddNumbers, roomId },
  ]),
)

/** The rules of a room version, or null for one that is not in the specification (yet). */
export function roomVersion(version: string): RoomVersion | null {
  return VERSIONS.get(version) ?? null
}

/** Every version known, oldest first. */
export const knownRoomVersions: readonly RoomVersion[] = [...VERSIONS.values()]
