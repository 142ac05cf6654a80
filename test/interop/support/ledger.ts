/**
 * Who should get which event of a room from A, written down as the story goes, and compared in the end with what really
 * arrived at each gate. Everything of A's that arrives and is not written down is one too many.
 */
import { until } from '../../support/poll.ts'
import { arrivedIds } from './arrivals.ts'
import type { Client } from './client.ts'
import { PATIENCE_MS } from './inside.ts'
import type { Synapse } from './synapse.ts'

export interface Ledger {
  /** Writes down that `what` is for these servers, and for nobody else. */
  expect(what: string, eventId: string, servers: readonly Synapse[]): void
  /** Each event with the servers where it should be, in the order of `expect`, as lines of text. */
  expected(): string[]
  /** The same with the servers that got it, and a line for whatever else arrived. */
  arrived(): string[]
}

export interface LedgerNeeds {
  readonly from: Synapse
  /** By the names under which they are shown. */
  readonly servers: Readonly<Record<string, Synapse>>
  readonly roomId: string
  readonly version: string
}

export function makeLedger({ from, servers, roomId, version }: LedgerNeeds): Ledger {
  const entries: { what: string; eventId: string; servers: readonly Synapse[] }[] = []
  const names = Object.entries(servers)
  const line = (what: string, whose: readonly string[]) => `${what}: ${whose.join(' and ') || 'nobody'}`
  return {
    expect(what, eventId, whose) {
      entries.push({ what, eventId, servers: whose })
    },
    expected: () =>
      entries.map(({ what, servers: whose }) =>
        line(
          what,
          names.filter(([, one]) => whose.includes(one)).map(([name]) => name),
        ),
      ),
    arrived() {
      const got = new Map(
        names.map(([name, one]) => [name, new Set(arrivedIds(from, one, { roomId, version }))]),
      )
      const who = (eventId: string) => [...got].filter(([, ids]) => ids.has(eventId)).map(([name]) => name)
      const known = new Set(entries.map(({ eventId }) => eventId))
      const others = new Set([...got.values()].flatMap((ids) => [...ids]).filter((id) => !known.has(id)))
      return [
        ...entries.map(({ what, eventId }) => line(what, who(eventId))),
        ...[...others].map((eventId) => line(`not in the story (${eventId})`, who(eventId))),
      ]
    },
  }
}

/**
 * Waits until everything that A has to say to these servers up to now is said: what Alice says now, in a room that all
 * share, has arrived, and each server gets A's events in A's order.
 */
export async function allSaid(
  alice: Client,
  commonRoom: string,
  from: Synapse,
  servers: readonly Synapse[],
): Promise<void> {
  const eventId = await alice.send(commonRoom, 'so much for that')
  for (const one of servers) {
    await until(() => arrivedIds(from, one, { roomId: commonRoom }).includes(eventId), {
      withinMs: PATIENCE_MS,
      what: `${one.serverName} to have got all that A said before`,
    })
  }
}
