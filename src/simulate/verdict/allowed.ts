/**
 * Was the server allowed to get what it got? Every event of every transaction that it was sent, answered or not, must
 * be one that it is entitled to, or a sticky replay that it may have.
 */
import { lists, putTogether } from '../story/record.ts'
import type { HeardTransaction } from '../story/record.ts'
import type { Claims, Stay } from './claims.ts'

export interface Allowed {
  /** Ids of events that it should not have got at all. */
  readonly notEntitled: readonly string[]
  /** Events from before a join that came because they were sticky. */
  readonly joinReplays: ReadonlySet<string>
  /** How often a sticky event was sent again because an answer did not list it. */
  readonly repeats: number
  readonly faults: readonly string[]
}

/** The wait before an event that an answer did not list goes again, ms; a little less, for clocks. */
const UNLISTED_WAIT_MS = 14_500

export function checkAllowed(
  { claims, server }: { claims: Claims; server: string },
  transactions: readonly HeardTransaction[],
): Allowed {
  const entitled = new Set(claims.of(server).map(({ event }) => event.eventId))
  const stays = claims.staysOf(server)
  const notEntitled = new Set<string>()
  const joinReplays = new Set<string>()
  const carriers = new Map<string, HeardTransaction[]>()
  const faults: string[] = []
  let repeats = 0

  for (const transaction of transactions) {
    const put = putTogether(transaction)
    const arrived = transaction.requestsAt[0] ?? put
    for (const id of transaction.pduIds) {
      const before = carriers.get(id) ?? []
      carriers.set(id, [...before, transaction])
      const told = claims.events.get(id)
      if (told === undefined) {
        notEntitled.add(id)
        faults.push(`${id} was never told to limpet, or was changed on its way`)
        continue
      }
      const { n, event } = told
      const joined = (stay: Stay) => stay.room === event.room && stay.since > n
      const replay = stays.find(
        (stay) => joined(stay) && stay.askedAt <= arrived && (stay.leftAt ?? Infinity) >= put,
      )
      if (!entitled.has(id)) {
        if (event.stickyUntil === null || replay === undefined) {
          notEntitled.add(id)
          continue
        }
        if (event.stickyUntil <= put) faults.push(`${id} was replayed after it had lapsed`)
        joinReplays.add(id)
      }
      const last = before.at(-1)
      if (last === undefined) continue
      const sticky = event.stickyUntil !== null && event.stickyUntil > put
      const unlisted = last.response !== null && !lists(last, id)
      if (sticky && unlisted && put - putTogether(last) >= UNLISTED_WAIT_MS) repeats += 1
      else if (!sticky || replay === undefined || replay.askedAt <= putTogether(last)) {
        faults.push(`${id} was sent again under another transaction id`)
      }
    }
  }
  return { notEntitled: [...notEntitled], joinReplays, repeats, faults }
}
