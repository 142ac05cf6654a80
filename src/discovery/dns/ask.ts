/**
 * One question to all DNS servers, one after the other, and on to where CNAMEs lead.
 *
 * The first answer counts, also the answer that there is nothing. A server that answered with an error is not asked again; one that was
 * silent is, in the next round, without EDNS (some old ones drop what they don't know). Always: it ends within `wholeMs`.
 */
import { askServer } from './ask-server.ts'
import type { DnsAnswered, AskServerNeeds } from './ask-server.ts'
import { dnsFailed } from './outcome.ts'
import type { DnsData, DnsFailed, DnsOutcome, DnsTrouble, DnsType } from './outcome.ts'
import type { DnsQuery } from './query-packet.ts'
import type { OrderedServer, ServerOrder } from './server-order.ts'

export interface DnsServers {
  readonly order: ServerOrder
  readonly timeoutMs: number
  readonly attempts: number
  /** As messages call it. */
  readonly show: (server: OrderedServer) => string
}

export interface AskNeeds extends AskServerNeeds {
  readonly wholeMs: number
  /** The servers of now: another object where they changed. */
  readonly servers: () => DnsServers
  /** What is kept of an answer, ms. */
  readonly keptMs: (kind: 'found' | 'none', ttlS: number | null) => number
}

/** Names of other names that we ask for ourselves, where an answer stops at a CNAME. */
const MOST_QUESTIONS = 8
const MOST_TOLD = 3
/** With less time left nobody is asked. */
const LEAST_ASK_MS = 20

// What one server said of the name says more than another's silence.
const TELLING: readonly DnsTrouble[] = ['SERVFAIL', 'REFUSED', 'MALFORMED', 'TIMEOUT', 'UNREACHABLE', 'OURS']

export async function askDns<Type extends DnsType>(
  needs: AskNeeds,
  query: DnsQuery<Type>,
  signal: AbortSignal,
): Promise<DnsOutcome<DnsData[Type]>> {
  const endMs = needs.clock.monotonic() + needs.wholeMs
  let asked = query
  let ttlS = Infinity
  let cname: string | null = null
  for (let questions = 0; questions < MOST_QUESTIONS; questions++) {
    const told = await askAll(needs, asked, { endMs, signal })
    if (told.kind === 'failed') return told
    cname = told.cname ?? cname
    ttlS = Math.min(ttlS, told.ttlS ?? Infinity)
    if (told.kind !== 'onward') {
      const kind = told.kind === 'records' ? 'found' : 'none'
      // How long there is nothing, says only the answer that says so.
      const time = told.ttlS === null ? null : ttlS
      const about = { ttlMs: needs.keptMs(kind, time), ...(cname === null ? {} : { cname }) }
      return told.kind === 'records'
        ? { kind: 'found', records: told.records, ...about }
        : { kind: 'none', why: told.why, ...about }
    }
    asked = { ...query, name: told.cname }
  }
  return dnsFailed('MALFORMED', `the CNAMEs of ${query.name} do not end`)
}

async function askAll<Type extends DnsType>(
  needs: AskNeeds,
  query: DnsQuery<Type>,
  until: { endMs: number; signal: AbortSignal },
): Promise<DnsAnswered<DnsData[Type]> | DnsFailed> {
  const servers = needs.servers()
  const told = await askInRounds(needs, query, { ...until, servers })
  // The list changed meanwhile: perhaps those that we asked are those that are gone.
  const changed = told.kind === 'failed' && !until.signal.aborted && needs.servers() !== servers
  return changed ? askInRounds(needs, query, { ...until, servers: needs.servers() }) : told
}

async function askInRounds<Type extends DnsType>(
  needs: AskNeeds,
  query: DnsQuery<Type>,
  { endMs, signal, servers }: { endMs: number; signal: AbortSignal; servers: DnsServers },
): Promise<DnsAnswered<DnsData[Type]> | DnsFailed> {
  const { order, timeoutMs, attempts, show } = servers
  const failures = new Map<OrderedServer, DnsFailed>()
  const done = new Set<OrderedServer>()
  for (let round = 0; round < attempts; round++) {
    for (const server of order.inTurn()) {
      const leftMs = endMs - needs.clock.monotonic()
      if (done.has(server) || leftMs < LEAST_ASK_MS) continue
      const how = { server, edns: round === 0, timeoutMs: Math.min(timeoutMs, leftMs), signal }
      const told = await askServer(needs, query, how)
      if (told.kind === 'aborted') return dnsFailed('OURS', 'the lookup was given up')
      if (told.kind !== 'trouble') {
        order.answered(server)
        return told
      }
      failures.set(server, dnsFailed(told.code, `${show(server)} ${told.why}`))
      if (told.heard) {
        done.add(server)
        order.answered(server)
      } else if (told.code !== 'OURS') order.silent(server, told.code === 'UNREACHABLE')
    }
  }
  return together([...failures.values()])
}

function together(failures: readonly DnsFailed[]): DnsFailed {
  const code = TELLING.find((one) => failures.some((failure) => failure.code === one)) ?? 'TIMEOUT'
  const told = failures.slice(0, MOST_TOLD).map(({ why }) => why)
  return dnsFailed(code, told.length === 0 ? 'no time was left to ask' : told.join('; '))
}
