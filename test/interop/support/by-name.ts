/**
 * The story of names, run in a network of its own (`small-internet.ts`): what limpet did there, told as plain facts for
 * `by-name.test.ts` to judge.
 *
 * Alice is on the homeserver that limpet sends for, Bob on the one behind `.well-known`, Carol on the one behind an SRV record. Bob's
 * and Carol's Synapses send for themselves, to each other: they say by which names and ports another implementation goes.
 */
import type { DiscoveryReport } from '../../../src/discovery/report.ts'
import { makeCertificateAuthority } from '../../../src/simulate/fleet/certs.ts'
import { clearLeftovers } from '../../support/leftovers.ts'
import { givenToProgram, say as tell } from '../../support/own-network.ts'
import { until } from '../../support/poll.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { sendsFrom } from './arrivals.ts'
import { type Client, registerClient } from './client.ts'
import { say } from './homeservers.ts'
import { type Limpet, QUICK, startLimpet } from './limpet.ts'
import { BY_SRV, DELEGATED, openSmallInternet, PLAIN, SRV_TARGET } from './small-internet.ts'
import { type Place, startSynapse, type Synapse } from './synapse.ts'
import type { SynapseInstall } from './venv.ts'

export interface GivenNames {
  readonly install: SynapseInstall
}

/** By which names a request came. */
export interface CameAs {
  readonly host: string | null
  readonly sni: string | null
}

export interface ToldOfServer {
  /** The body of Alice's first message, as this server's client API shows it, or why it does not. */
  readonly seen: unknown
  /** `limpet discover --fresh`. */
  readonly discovered: DiscoveryReport
  /** Of limpet's transactions, and of those of the other Synapse; each once. */
  readonly byLimpet: readonly CameAs[]
  readonly bySynapse: readonly CameAs[]
  /** While it showed a certificate for another name: what limpet said of it, and how many transactions it got. */
  readonly refusal: string
  readonly sentMeanwhile: number
  /** The body of the message from that time, when it had its certificate again, or why not. */
  readonly seenAfterwards: unknown
}

export interface ToldNames {
  readonly delegated: ToldOfServer
  readonly bySrv: ToldOfServer
  readonly fetchedWellKnown: readonly string[]
  readonly trapped: readonly string[]
}

const PATIENCE_MS = 30_000

const { install } = givenToProgram() as GivenNames
const authority = await makeCertificateAuthority(Date.now())
const everybody: { readonly name: string; readonly logTail: (lines: number) => Promise<string> }[] = []

async function play(): Promise<ToldNames> {
  const internet = await openSmallInternet(authority)
  say(`starting three homeservers with Synapse ${install.version}, in a network of their own`)
  const [a, b, c] = await Promise.all([home('a', PLAIN, ['limpet']), home('b', DELEGATED), home('c', BY_SRV)])
  const settings = { federation: { custom_ca_paths: [a.caPath], backoff: QUICK } }
  const [alice, bob, carol, limpet] = await Promise.all([
    registerClient(a, 'alice'),
    registerClient(b, 'bob'),
    registerClient(c, 'carol'),
    startLimpet({ synapse: a, redis: false, settings }),
  ])
  everybody.push({ ...limpet, name: 'limpet' })

  const room = await alice.createRoom()
  for (const guest of [bob, carol]) await guest.join(room, a)
  const first = await alice.send(room, 'by name')
  const seen = await Promise.all([bodySeen(bob, room, first), bodySeen(carol, room, first)])
  await carol.see(room, await bob.send(room, 'from B to C'))
  await bob.see(room, await carol.send(room, 'from C to B'))
  const sent = [byNames(a, b), byNames(a, c)] as const
  const sentBySynapse = [byNames(c, b), byNames(b, c)] as const
  const discovered = [await discover(limpet, b), await discover(limpet, c)] as const

  // Each shows a certificate that it would have if limpet asked for the wrong one of its names.
  b.gate.present(await authority.issue({ names: [DELEGATED.serverName] }))
  c.gate.present(await authority.issue({ names: [SRV_TARGET] }))
  const before = [sendsFrom(a, b).length, sendsFrom(a, c).length] as const
  const since = Date.now()
  const second = await alice.send(room, 'to nobody for now')
  const refusals = [await refusalBy(limpet, b, since), await refusalBy(limpet, c, since)] as const
  const meanwhile = [sendsFrom(a, b).length - before[0], sendsFrom(a, c).length - before[1]] as const
  for (const [{ gate }, { certificateFor }] of [
    [b, DELEGATED],
    [c, BY_SRV],
  ] as const)
    gate.present(await authority.issue({ names: [certificateFor] }))
  const afterwards = await Promise.all([bodySeen(bob, room, second), bodySeen(carol, room, second)])

  const toldOf = (i: 0 | 1): ToldOfServer => ({
    seen: seen[i],
    discovered: discovered[i],
    byLimpet: sent[i],
    bySynapse: sentBySynapse[i],
    refusal: refusals[i],
    sentMeanwhile: meanwhile[i],
    seenAfterwards: afterwards[i],
  })
  const { fetched: fetchedWellKnown, trapped } = internet
  return { delegated: toldOf(0), bySrv: toldOf(1), fetchedWellKnown, trapped }
}

async function home(name: string, place: Place, senderInstances?: readonly string[]): Promise<Synapse> {
  const { url: databaseUrl } = await freshDatabase({ migrated: false })
  const sender = senderInstances === undefined ? {} : { senderInstances }
  const synapse = await startSynapse({
    ...{ name, install, authority, place, databaseUrl, redisUrl: null },
    ...sender,
  })
  everybody.push({ ...synapse, name })
  return synapse
}

const destination = ({ serverName }: Synapse) => `/v1/destinations/${encodeURIComponent(serverName)}`

const discover = (limpet: Limpet, server: Synapse): Promise<DiscoveryReport> =>
  limpet.get(`${destination(server)}/discovery?fresh=true`)

async function bodySeen(guest: Client, room: string, eventId: string): Promise<unknown> {
  const seen = guest.see(room, eventId, PATIENCE_MS)
  return seen.then(({ content }) => content['body'], String)
}

/** What limpet says of the server when it could not send to it. Empty: it could. */
async function refusalBy(limpet: Limpet, server: Synapse, since: number): Promise<string> {
  interface Told {
    readonly last_error: { readonly message: string | null; readonly at: number | null } | null
    readonly last_success: number | null
  }
  const tried = async () => {
    const { last_error: error, last_success: success } = await limpet.get<Told>(destination(server))
    if ((error?.at ?? 0) >= since) return { why: error?.message ?? '' }
    return (success ?? 0) >= since ? { why: '' } : null
  }
  const what = `limpet to try ${server.serverName}`
  return (await until(tried, { withinMs: PATIENCE_MS, everyMs: 50, what })).why
}

/** By which names `from`'s transactions came to `to`; each once. */
function byNames(from: Synapse, to: Synapse): CameAs[] {
  const came = sendsFrom(from, to).map(({ host, sni }) => JSON.stringify({ host, sni }))
  return [...new Set(came)].map((text) => JSON.parse(text) as CameAs)
}

try {
  tell(await play())
} catch (error) {
  for (const { name, logTail } of everybody) say(`the end of ${name}'s log:\n${await logTail(20)}`)
  say(String(error instanceof Error ? error.stack : error))
  process.exitCode = 1
}
await clearLeftovers()
process.exit()
