/**
 * Which server should get which event? The room memberships of the story, walked through once, item by item, as
 * plainly as possible. This is the reference that limpet is held against, so it shares nothing with limpet.
 *
 * An event is for the servers that are in its room at its own point of the stream, or exactly for those that it names.
 * A server that joins is owed the room's earlier sticky events as well, while they are sticky.
 */
import type { Told, ToldEvent } from '../story/record.ts'

/** An event that one server is entitled to as it came. */
export interface Claim {
  /** Its place in what limpet was told. */
  readonly n: number
  readonly event: ToldEvent
  /** It names a server that is not in the room, which could not fetch it: no catch-up may skip it. */
  readonly alone: boolean
}

/** A time in a room: events after `since` up to and with `until` are the server's. */
export interface Stay {
  readonly room: string
  readonly since: number
  /** When the join's request began, and when it was answered. */
  readonly askedAt: number
  readonly joinedAt: number
  until: number | null
  /** When the answer to the leave came. */
  leftAt: number | null
}

export interface Claims {
  /** Takes in the next item of the story. */
  take(told: Told): void
  /** Everything that was told, by event id. */
  readonly events: ReadonlyMap<string, { readonly n: number; readonly event: ToldEvent }>
  /** In stream order. */
  of(server: string): readonly Claim[]
  /** In the order of their joins. */
  staysOf(server: string): readonly Stay[]
  /** Sticky events of the room before `before`, in stream order. */
  stickyIn(room: string, before: number): readonly Claim[]
}

export function makeClaims(told: Iterable<Told> = []): Claims {
  const events = new Map<string, { n: number; event: ToldEvent }>()
  const members = new Map<string, Map<string, Stay>>()
  const claims = new Map<string, Claim[]>()
  const stays = new Map<string, Stay[]>()
  const sticky = new Map<string, Claim[]>()
  let n = 0

  function take(item: Told): void {
    n += 1
    const inside = entry(members, item.room, () => new Map<string, Stay>())
    if (item.kind === 'event') {
      events.set(item.eventId, { n, event: item })
      for (const server of item.to ?? inside.keys()) {
        entry(claims, server, () => []).push({ n, event: item, alone: !inside.has(server) })
      }
      if (item.stickyUntil !== null) {
        entry(sticky, item.room, () => []).push({ n, event: item, alone: false })
      }
      return
    }
    for (const server of item.servers) {
      const stay = inside.get(server)
      if (item.kind === 'join' && stay === undefined) {
        const { room, at: askedAt, takenAt: joinedAt } = item
        const begun: Stay = { room, since: n, askedAt, joinedAt, until: null, leftAt: null }
        inside.set(server, begun)
        entry(stays, server, () => []).push(begun)
      } else if (item.kind === 'leave' && stay !== undefined) {
        stay.until = n
        stay.leftAt = item.takenAt
        inside.delete(server)
      }
    }
  }

  for (const item of told) take(item)
  return {
    take,
    events,
    of: (server) => claims.get(server) ?? [],
    staysOf: (server) => stays.get(server) ?? [],
    stickyIn: (room, before) => (sticky.get(room) ?? []).filter((claim) => claim.n < before),
  }
}

/** Sticky events from before each of its joins; those of rooms it has left again by `now` are owed no more. */
export function owedByJoin(claims: Claims, server: string, now: number): Claim[] {
  return claims
    .staysOf(server)
    .filter(({ leftAt }) => leftAt === null || leftAt > now)
    .flatMap(({ room, since, joinedAt }) =>
      claims.stickyIn(room, since).filter(({ event }) => (event.stickyUntil ?? 0) > joinedAt),
    )
}

function entry<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key)
  if (known !== undefined) return known
  const made = make()
  map.set(key, made)
  return made
}
