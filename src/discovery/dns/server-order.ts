/**
 * In which order are the DNS servers asked? As they are listed, but one that does not answer at all is put behind the others.
 *
 * A name whose own servers are silent makes every DNS server look silent, so a server is judged by all names together: it has
 * to be silent several times in a row, with no answer to anything between. After a while it is tried in its old place again, once.
 */
import type { Clock } from '../../pace/clock.ts'

export interface OrderedServer {
  readonly address: string
  readonly port: number
}

export interface ServerOrder {
  /** All of them, the first to ask first. */
  inTurn(): readonly OrderedServer[]
  answered(server: OrderedServer): void
  /** `gone`: nothing listens there, or there is no way to it. */
  silent(server: OrderedServer, gone: boolean): void
}

const SILENT_IN_A_ROW = 3
const BEHIND_MS = 10_000

export function makeServerOrder(servers: readonly OrderedServer[], clock: Clock): ServerOrder {
  const silences = new Map<OrderedServer, number>()
  const behindUntil = new Map<OrderedServer, number>()
  const isBehind = (server: OrderedServer): boolean => (behindUntil.get(server) ?? 0) > clock.monotonic()
  return {
    inTurn: () =>
      behindUntil.size === 0
        ? servers
        : [...servers.filter((one) => !isBehind(one)), ...servers.filter((one) => isBehind(one))],
    answered(server) {
      silences.delete(server)
      behindUntil.delete(server)
    },
    silent(server, gone) {
      const count = (silences.get(server) ?? 0) + (gone ? SILENT_IN_A_ROW : 1)
      silences.set(server, count)
      if (count >= SILENT_IN_A_ROW) behindUntil.set(server, clock.monotonic() + BEHIND_MS)
    },
  }
}
