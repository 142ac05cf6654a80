/**
 * The homeservers of the stories: Synapses that know each other, or the reason why there are none.
 *
 * Where Python or PyPI is missing a story counts as one skipped test with that reason; with LIMPET_REQUIRE_INTEROP=1
 * it fails.
 */
import { type CertificateAuthority, makeCertificateAuthority } from '../../../src/simulate/fleet/certs.ts'
import { until } from '../../support/poll.ts'
import { freshDatabase, type FreshOptions } from '../../support/postgres.ts'
import { ownRedis, sharedRedis, type OwnRedis } from '../../support/redis.ts'
import { skip } from '../../support/skip.ts'
import { inside } from './inside.ts'
import { startSynapse, type Synapse } from './synapse.ts'
import { type SynapseInstall, synapseVenv } from './venv.ts'

const SETUP_MS = 900_000
const TABLES_MS = 120_000

/** A line of progress on standard error, so that nobody sits before a blank screen. */
export function say(line: string): void {
  process.stderr.write(`    ${line}\n`)
}

/** Three homeservers for all stories: A's sender is off from the start, B and C send for themselves. */
export interface Homeservers {
  readonly a: Synapse
  readonly b: Synapse
  readonly c: Synapse
  /** Of A alone, so that a story may take it away. */
  readonly redisOfA: OwnRedis
}

let shared: Promise<Homeservers> | undefined

/**
 * The shared three, started by the first story that asks in its `before` hook; may skip the suite. A story leaves them
 * as it found them (`stage.ts` sees to it): all running, their gates healed, senders and Redis as said above.
 */
export async function homeservers(context: Mocha.Context): Promise<Homeservers> {
  const install = await requireSynapse(context)
  const redisOfB = await sharedRedis(context)
  context.timeout(SETUP_MS)
  shared ??= startThree()
  return shared

  async function startThree(): Promise<Homeservers> {
    const redisOfA = await ownRedis(context)
    context.timeout(SETUP_MS)
    const start = await starter(install)
    say(`starting three homeservers with Synapse ${install.version}`)
    const [a, b, c] = await Promise.all([
      start('a', redisOfA.url, ['limpet']),
      start('b', `${redisOfB.url}/2`),
      start('c', `${redisOfB.url}/3`),
    ])
    return { a, b, c, redisOfA }
  }
}

/** Two of one's own, each sending for itself unless told otherwise. Call it in a `before` hook; it may skip the suite. */
export async function startPair(
  context: Mocha.Context,
  { sendersOfA, presence = false }: { sendersOfA?: readonly string[]; presence?: boolean } = {},
): Promise<{ a: Synapse; b: Synapse }> {
  const install = await requireSynapse(context)
  const redis = await sharedRedis(context)
  context.timeout(SETUP_MS)
  const start = await starter(install)
  say(`starting two homeservers with Synapse ${install.version}`)
  const [a, b] = await Promise.all([
    start('a', `${redis.url}/4`, sendersOfA, presence),
    start('b', `${redis.url}/5`, undefined, presence),
  ])
  return { a, b }
}

/** The Synapse to start, in a `before` hook; where there is none it skips the suite, or fails. */
export async function requireSynapse(context: Mocha.Context): Promise<SynapseInstall> {
  context.timeout(SETUP_MS)
  const { install, missing } = await synapseVenv(say)
  if (missing === undefined) return install
  if (process.env['LIMPET_REQUIRE_INTEROP'] === '1')
    throw new Error(`${missing}, but LIMPET_REQUIRE_INTEROP=1`)
  // The steps of a story are one test that could not be: it counts once.
  context.test?.parent?.tests.splice(1)
  return skip(context, missing)
}

async function starter(install: SynapseInstall) {
  const authority: CertificateAuthority = await makeCertificateAuthority(Date.now())
  return async (name: string, redisUrl: string, senderInstances?: readonly string[], presence = false) =>
    startSynapse({
      name,
      install,
      authority,
      databaseUrl: (await freshDatabase({ migrated: false, prepared: tables(install, authority) })).url,
      redisUrl,
      presence,
      ...(senderInstances === undefined ? {} : { senderInstances }),
    })
}

/**
 * Synapse's tables, which one Synapse makes for all: for that it computes longer than for anything else at its start. There is nobody and nothing
 * in them, not even its own name.
 */
function tables(
  install: SynapseInstall,
  authority: CertificateAuthority,
): NonNullable<FreshOptions['prepared']> {
  return {
    name: 'synapse',
    async prepare(databaseUrl) {
      const first = await startSynapse({ name: 'first', install, authority, databaseUrl, redisUrl: null })
      try {
        await inside(first, (db) => {
          const left = () => db.query('select 1 from background_updates limit 1')
          return until(async () => (await left()).rowCount === 0, {
            withinMs: TABLES_MS,
            everyMs: 100,
            what: 'Synapse to finish its tables',
          })
        })
      } finally {
        await first.dispose()
      }
    },
  }
}
