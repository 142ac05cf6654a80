/**
 * Which server should get which EDUs? Room memberships and EDUs as limpet was told them, walked through once, as plainly
 * as possible. Shares nothing with limpet.
 *
 * An EDU of rooms is for the servers that are in them at its own point of the stream, once each; one with
 * destinations for exactly these. What is owed is counted in parts, since limpet packs them as it likes. It grows with
 * the story, as `Claims` do.
 */
import { readEdu } from '../fleet/edu-form.ts'
import { keyOfPart, nameOfPart, partsOf } from '../fleet/edu-parts.ts'
import type { SeenEduPart } from '../fleet/edu-parts.ts'
import { lifeOf } from '../story/edu-told.ts'
import type { ToldEdu } from '../story/edu-told.ts'
import type { Told, ToldMembership } from '../story/record.ts'

export interface EduClaim {
  /** Its place in what limpet was told. */
  readonly n: number
  readonly part: SeenEduPart
  /** When the request that told it began. */
  readonly at: number
  /** No transaction that is put together then or later may hold it; null: it is durable. */
  readonly until: number | null
}

export interface EduClaims {
  /** Takes in the next item of the story; events say nothing here. */
  take(told: Told | ToldEdu): void
  /** What one server should get, in stream order. */
  of(server: string): readonly EduClaim[]
}

/** `origin`: our own server name. */
export function makeEduClaims(origin: string, told: Iterable<Told | ToldEdu> = []): EduClaims {
  const members = new Map<string, Set<string>>()
  const claims = new Map<string, EduClaim[]>()
  let n = 0

  function take(item: Told | ToldEdu): void {
    n += 1
    if (item.kind === 'edu') tell(item)
    else if (item.kind !== 'event') move(item)
  }

  function move(item: ToldMembership): void {
    const inside = members.get(item.room) ?? new Set()
    members.set(item.room, inside)
    for (const server of item.servers) {
      if (item.kind === 'join') inside.add(server)
      else inside.delete(server)
    }
  }

  function tell({ item, at, takenAt }: ToldEdu): void {
    const { rooms = [], destinations = [] } = item
    const servers = new Set([...destinations, ...rooms.flatMap((room) => [...(members.get(room) ?? [])])])
    const life = lifeOf(item)
    const until = life === null ? null : takenAt + life
    const edu = readEdu({ edu_type: item.edu_type, content: item.content }, origin)
    const own = partsOf(edu).map((part): EduClaim => ({ n, part, at, until }))
    for (const server of servers) {
      const list = claims.get(server)
      if (list === undefined) claims.set(server, [...own])
      else list.push(...own)
    }
  }

  for (const one of told) take(one)
  return { take, of: (server) => claims.get(server) ?? [] }
}

/** The newest of each key. */
export function newestByKey(claims: readonly EduClaim[]): Map<string, EduClaim> {
  return new Map(claims.map((claim) => [keyOfPart(claim.part), claim]))
}

/** The newest of each name: two that say the same have one name. */
export function newestByName(claims: readonly EduClaim[]): Map<string, EduClaim> {
  return new Map(claims.map((claim) => [nameOfPart(claim.part), claim]))
}
