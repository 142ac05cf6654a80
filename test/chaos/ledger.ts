/**
 * What the remotes are owed by everything the homeserver has said, kept as plainly as possible: who was in which
 * room when something was said, and which sticky events a join brings (contract 5.3 and 5.5).
 *
 * It knows nothing of time: sticky events here stay sticky for longer than any test. EDUs are written down when they were taken, because they
 * last from then on (`src/simulate/verdict/edu-claims.ts`).
 */
import type { EduToTell, ToldEdu } from '../../src/simulate/story/edu-told.ts'
import type { Told } from '../../src/simulate/story/record.ts'
import { makeEduClaims, type EduClaims } from '../../src/simulate/verdict/edu-claims.ts'
import { OURS } from '../e2e/world.ts'

export interface Owed {
  /** In stream order: said in a room in which the server was at that point. */
  readonly timeline: readonly string[]
  /** Sticky events from before a join of a room in which the server still is: must arrive. */
  readonly joins: ReadonlySet<string>
  /** How often a join may have brought a sticky event: more joins, more times, and none is owed after a leave. */
  readonly replays: ReadonlyMap<string, number>
}

export interface Ledger {
  /** A server is in the room from now on. */
  join(room: string, server: string): void
  leave(room: string, server: string): void
  isThere(room: string, server: string): boolean
  there(room: string): readonly string[]
  /** An event is said in the room. */
  say(room: string, eventId: string, sticky: boolean): void
  /** An EDU is told. */
  tell(item: EduToTell): void
  /** All this since the last time was taken, by a request that began at `at` and was answered at `takenAt`; ms since the epoch. */
  taken(times: Times): void
  /** What of that each server should get in EDUs. */
  readonly edus: EduClaims
  owed(server: string): Owed
  /** The place of an event in the stream, from 0. */
  placeOf(eventId: string): number | undefined
  isSticky(eventId: string): boolean
}

type Times = Pick<ToldEdu, 'at' | 'takenAt'>

export function makeLedger(): Ledger {
  const members = new Map<string, Set<string>>()
  const stickies = new Map<string, string[]>()
  const sticky = new Set<string>()
  const places = new Map<string, number>()
  const timelines = new Map<string, string[]>()
  const replays = new Map<string, Map<string, number>>()
  /** By server and room: what its last join brings. */
  const joined = new Map<string, Map<string, readonly string[]>>()
  const edus = makeEduClaims(OURS)
  const told: ((times: Times) => Told | ToldEdu)[] = []

  const listOf = (room: string) => entry(members, room, () => new Set<string>())

  return {
    join(room, server) {
      listOf(room).add(server)
      told.push((times) => ({ kind: 'join', room, servers: [server], ...times }))
      const brings = [...(stickies.get(room) ?? [])]
      entry(joined, server, () => new Map<string, readonly string[]>()).set(room, brings)
      const counts = entry(replays, server, () => new Map<string, number>())
      for (const eventId of brings) counts.set(eventId, (counts.get(eventId) ?? 0) + 1)
    },
    leave(room, server) {
      listOf(room).delete(server)
      joined.get(server)?.delete(room)
      told.push((times) => ({ kind: 'leave', room, servers: [server], ...times }))
    },
    isThere: (room, server) => listOf(room).has(server),
    there: (room) => [...listOf(room)],
    say(room, eventId, isSticky) {
      places.set(eventId, places.size)
      if (isSticky) {
        sticky.add(eventId)
        entry(stickies, room, () => []).push(eventId)
      }
      for (const server of listOf(room)) entry(timelines, server, () => []).push(eventId)
    },
    tell: (item) => void told.push((times) => ({ kind: 'edu', item, ...times })),
    taken(times) {
      for (const one of told.splice(0)) edus.take(one(times))
    },
    edus,
    owed: (server) => ({
      timeline: timelines.get(server) ?? [],
      joins: new Set([...(joined.get(server)?.values() ?? [])].flat()),
      replays: replays.get(server) ?? new Map(),
    }),
    placeOf: (eventId) => places.get(eventId),
    isSticky: (eventId) => sticky.has(eventId),
  }
}

function entry<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key) ?? make()
  map.set(key, known)
  return known
}
