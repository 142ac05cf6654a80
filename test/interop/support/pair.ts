/**
 * What every story starts from: two Synapses that know each other, or the reason why there are none.
 *
 * Where Python or PyPI is missing a story counts as one skipped test with that reason; with LIMPET_REQUIRE_INTEROP=1
 * it fails.
 */
import { makeCertificateAuthority } from '../../../src/simulate/certs.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { sharedRedis } from '../../support/redis.ts'
import { skip } from '../../support/skip.ts'
import { startSynapse, type Synapse } from './synapse.ts'
import { synapseVenv } from './venv.ts'

const SETUP_MS = 900_000

/** A line of progress on standard error, so that nobody sits before a blank screen. */
export function say(line: string): void {
  process.stderr.write(`    ${line}\n`)
}

/** Starts homeservers `a` and `b`. Call it in a `before` hook; it may skip the suite. */
export async function startPair(context: Mocha.Context): Promise<{ a: Synapse; b: Synapse }> {
  context.timeout(SETUP_MS)
  const { install, missing } = await synapseVenv(say)
  if (missing !== undefined) {
    if (process.env['LIMPET_REQUIRE_INTEROP'] === '1')
      throw new Error(`${missing}, but LIMPET_REQUIRE_INTEROP=1`)
    // The steps of a story are one test that could not be: it counts once.
    context.test?.parent?.tests.splice(1)
    return skip(context, missing)
  }
  const redis = await sharedRedis(context)
  context.timeout(SETUP_MS)
  await redis.flush()
  const authority = await makeCertificateAuthority(Date.now())
  say(`starting two homeservers with Synapse ${install.version}`)
  const start = async (name: string, dbid: number) =>
    startSynapse({
      name,
      install,
      authority,
      databaseUrl: (await freshDatabase({ migrated: false })).url,
      redisUrl: `${redis.url}/${dbid}`,
    })
  const [a, b] = await Promise.all([start('a', 1), start('b', 2)])
  return { a, b }
}
