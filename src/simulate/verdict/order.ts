/**
 * Was everything in stream order (contract 5.1), and did a join's replays come as they should (5.5)?
 */
import type { HeardTransaction } from '../story/record.ts'
import type { Claims, Stay } from './claims.ts'

/** Most PDUs in a transaction. */
const FULL = 50

/**
 * Within a transaction everything is in stream order; from one to the next, ordinary events are, and each
 * join's replays among themselves. A repeat does not count, its first time does.
 */
export function checkOrder(
  { claims, server }: { claims: Claims; server: string },
  transactions: readonly HeardTransaction[],
): string[] {
  const faults: string[] = []
  const seen = new Set<string>()
  const stays = claims.staysOf(server)
  const newest = new Map<Stay | 'ordinary', number>()
  for (const { txnId, pduIds } of transactions) {
    let before = 0
    for (const id of pduIds) {
      const told = claims.events.get(id)
      if (told === undefined) continue
      const { n, event } = told
      if (n < before) faults.push(`${id} is out of stream order within transaction ${txnId}`)
      before = n
      if (seen.has(id)) continue
      seen.add(id)
      const lane = event.stickyUntil === null ? 'ordinary' : joinOf(stays, event.room, n)
      if (lane === null) continue
      if (n < (newest.get(lane) ?? 0)) {
        faults.push(`${id} came out of stream order${lane === 'ordinary' ? '' : ', as a replay'}`)
      }
      newest.set(lane, Math.max(n, newest.get(lane) ?? 0))
    }
  }
  return faults
}

/** The join that a sticky event is replayed for; null: the server was in the room when it was sent. */
function joinOf(stays: readonly Stay[], room: string, n: number): Stay | null {
  const inRoom = stays.filter((stay) => stay.room === room)
  if (inRoom.some(({ since, until }) => since < n && (until === null || n <= until))) return null
  return inRoom.find(({ since }) => since > n) ?? null
}

export interface JoinShape {
  /** PDUs of each transaction that the replays came in. */
  readonly sizes: readonly number[]
  readonly faults: readonly string[]
}

/**
 * The replays of a join during which nothing else waited: full transactions one after the other and a last
 * one, nothing else in them or between them, each answered before the next began.
 */
export function checkQuietJoin(
  { claims, server }: { claims: Claims; server: string },
  room: string,
  transactions: readonly HeardTransaction[],
): JoinShape {
  const stay = claims.staysOf(server).find((one) => one.room === room)
  if (stay === undefined) return { sizes: [], faults: [`${server} never joined ${room}`] }
  const owed = claims
    .stickyIn(room, stay.since)
    .filter(({ event }) => (event.stickyUntil ?? 0) > stay.joinedAt)
    .map(({ event }) => event.eventId)
  const wanted: string[][] = []
  for (let at = 0; at < owed.length; at += FULL) wanted.push(owed.slice(at, at + FULL))
  const first = transactions.findIndex(({ pduIds }) => pduIds.includes(owed[0] ?? ''))
  const came = first < 0 ? [] : transactions.slice(first, first + wanted.length)
  const sizes = came.map(({ pduIds }) => pduIds.length)
  const same = wanted.every((ids, index) => ids.join() === (came[index]?.pduIds.join() ?? ''))
  if (same) return { sizes, faults: [] }
  const shape = wanted.map(({ length }) => length).join(' + ')
  return { sizes, faults: [`the ${owed.length} replays of the join were not ${shape} in stream order`] }
}
