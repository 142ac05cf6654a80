/**
 * How far is each server behind? Cheap enough to ask again and again, so that traffic can wait for servers that can't
 * keep up. Otherwise a machine that is too slow for the story would tell another one, in which every server is behind.
 */
import type { Heard, HeardTransaction } from './record.ts'
import { owedByJoin } from '../verdict/claims.ts'
import type { Claims } from '../verdict/claims.ts'

export interface Pace {
  /** Events that it should have by now and has not got, those aside that were written off. */
  waiting(server: string): number
  /** What it has not got by now it need not get: catch-up may have left it out. */
  writeOff(server: string): void
  /** Whether all that it was sent is answered. */
  answered(server: string): boolean
}

interface FollowedServer {
  readonly heard: Heard
  /** Transactions that were looked at, all of them processed. */
  seen: number
  arrived: number
  writtenOff: number
}

export function makePace(claims: Claims, servers: readonly Heard[]): Pace {
  const all = new Map<string, FollowedServer>(
    servers.map((heard) => [heard.serverName, { heard, seen: 0, arrived: 0, writtenOff: 0 }]),
  )

  function shortOf(server: string, one: FollowedServer): number {
    const { transactions } = one.heard
    for (; one.seen < transactions.length; one.seen++) {
      const next: HeardTransaction | undefined = transactions[one.seen]
      if (next === undefined || next.response === null) break
      one.arrived += next.pduIds.length
    }
    return claims.of(server).length + owedByJoin(claims, server, Infinity).length - one.arrived
  }

  return {
    waiting(server) {
      const one = all.get(server)
      return one === undefined ? 0 : shortOf(server, one) - one.writtenOff
    },
    writeOff(server) {
      const one = all.get(server)
      if (one !== undefined) one.writtenOff = shortOf(server, one)
    },
    answered: (server) => all.get(server)?.heard.transactions.at(-1)?.answered !== false,
  }
}
