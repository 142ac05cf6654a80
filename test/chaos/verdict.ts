/**
 * Whether a strict remote holds what it is owed and nothing else, each thing as often and in the order that the
 * contract allows, and whether a rule was broken on the way.
 */
import type { FakeHomeserver } from '../../src/simulate/fleet/fake-homeserver.ts'
import { until } from '../support/poll.ts'
import { eduFaultsOf, stillMissingEdus } from './edu-verdict.ts'
import type { Ledger } from './ledger.ts'

export interface Wanted {
  /** `rooms`: a remote that refuses something is sent one room's events while another's wait (contract 5.9). Default: the stream's. */
  order?: 'stream' | 'rooms'
  /** What was set aside, and may come whenever it is taken. */
  setAside?: ReadonlySet<string>
}

type Remote = Pick<FakeHomeserver, 'serverName' | 'received' | 'transactions' | 'violations'>

/** Resolves when every remote holds what it must; throws when one does not in time, or a rule was broken. */
export async function settled(
  remotes: readonly Remote[],
  ledger: Ledger,
  { withinMs, seed, ...wanted }: { withinMs: number; seed: number } & Wanted,
): Promise<void> {
  for (const remote of remotes) {
    const missing = () => [
      ...stillMissing(remote, ledger),
      ...stillMissingEdus(remote, ledger.edus, Date.now()),
    ]
    await until(() => missing().length === 0, {
      what: `${remote.serverName} to hold everything (seed ${seed})`,
      withinMs,
      everyMs: 50,
    }).catch((error: unknown) => {
      const first = missing().slice(0, 3).join(', ')
      const [fault] = faultsOf(remote, ledger, wanted)
      const held = fault === undefined ? '' : `; it holds against it: ${fault}`
      throw new Error(`${missing().length} missing (${first}…): ${(error as Error).message}${held}`)
    })
  }
  const faults = remotes.flatMap((remote) =>
    faultsOf(remote, ledger, wanted).map((fault) => `${remote.serverName}: ${fault}`),
  )
  // Not by comparing lists: of a long one mocha shows nothing.
  if (faults.length > 0) {
    const some = faults.slice(0, 20).join('\n')
    throw new Error(`the remotes hold ${faults.length} things against it (seed ${seed}):\n${some}`)
  }
}

export function stillMissing({ serverName, received }: Remote, ledger: Ledger): string[] {
  const { timeline, joins } = ledger.owed(serverName)
  return [...new Set([...timeline, ...joins])].filter((id) => !received.has(id))
}

/** What is wrong at one remote, in words; more may still be under way. */
export function faultsOf(
  remote: Remote,
  ledger: Ledger,
  { order = 'stream', setAside = new Set() }: Wanted = {},
): string[] {
  const { serverName, received, transactions } = remote
  const { timeline, replays } = ledger.owed(serverName)
  const inTimeline = new Set(timeline)
  const faults = [
    ...remote.violations.map((violation) => `rule broken: ${violation}`),
    ...eduFaultsOf(remote, ledger.edus),
  ]

  const broughtBy = (id: string) =>
    transactions
      .filter(({ pduIds }) => pduIds.includes(id))
      .map(({ txnId, requestsAt }) => `${txnId} at ${requestsAt.join(' and ')}`)
      .join(', ')
  for (const [id, { times }] of received) {
    // A repeat under its own transaction id counts once.
    const allowed = (inTimeline.has(id) ? 1 : 0) + (replays.get(id) ?? 0)
    if (allowed === 0) faults.push(`${id} was not meant for it`)
    else if (times > allowed) {
      const kind = ledger.isSticky(id) ? 'sticky' : 'plain'
      faults.push(`${id} (${kind}) came in ${times} transactions, not ${allowed}: ${broughtBy(id)}`)
    }
  }

  // Sticky events may overtake, everything else comes in the order of the stream.
  const plain = (ids: Iterable<string>) => [...ids].filter((id) => !ledger.isSticky(id) && !setAside.has(id))
  const wanted = plain(timeline)
  const got = plain(received.keys()).filter((id) => inTimeline.has(id))
  const parts = order === 'stream' ? [{ wanted, got }] : byRoom(wanted, got, received)
  for (const part of parts) {
    const odd = part.got.findIndex((id, index) => id !== part.wanted[index])
    if (odd >= 0) faults.push(`out of order: ${part.got[odd]} came in the place of ${part.wanted[odd]}`)
  }

  const place = (id: string) => ledger.placeOf(id) ?? -1
  for (const { txnId, pduIds } of transactions) {
    const sorted = [...pduIds].sort((a, b) => place(a) - place(b))
    if (pduIds.some((id, index) => id !== sorted[index])) faults.push(`${txnId} is not in stream order`)
    if (new Set(pduIds).size < pduIds.length) faults.push(`${txnId} holds something twice`)
  }
  return faults
}

/** What there is of each room; what has not come yet is of none. */
function byRoom(wanted: readonly string[], got: readonly string[], received: Remote['received']) {
  const rooms = new Set([...received.values()].map(({ roomId }) => roomId))
  return [...rooms].map((room) => {
    const isOf = (id: string) => received.get(id)?.roomId === room
    return { wanted: wanted.filter(isOf), got: got.filter(isOf) }
  })
}

/** Transactions, requests that repeated one, EDUs, and sticky events that a join brought, of all remotes. */
export function figures(
  remotes: readonly Remote[],
  ledger?: Ledger,
): { transactions: number; repeats: number; replays: number; edus: number } {
  const all = remotes.flatMap(({ transactions }) => transactions)
  const requests = all.reduce((sum, { requestsAt }) => sum + requestsAt.length, 0)
  const replays = remotes.reduce((sum, { serverName, received }) => {
    const timeline = new Set(ledger?.owed(serverName).timeline)
    return sum + [...received.keys()].filter((id) => ledger !== undefined && !timeline.has(id)).length
  }, 0)
  const edus = all.reduce((sum, transaction) => sum + transaction.edus, 0)
  return { transactions: all.length, repeats: requests - all.length, replays, edus }
}
