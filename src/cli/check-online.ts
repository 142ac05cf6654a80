/**
 * `limpet check-config --online`: is our key what the homeserver publishes under `server_name`, and is it reachable from here?
 *
 * Asked the way other servers ask: by server discovery and a verified connection. Nothing is remembered, and nothing is asked of the
 * database. Three things can be wrong, and each has its own sentence: not reachable, not published under this id, or another or an old key.
 */
import type { Config } from '../config/config.ts'
import { ConfigError } from '../config/config.ts'
import { loadSigningKey, readAuthorities } from '../config/files.ts'
import { LOOKUPS } from '../daemon/descriptors.ts'
import { openOutbound, PUBLIC_NETWORK, type Network, type Outbound } from '../daemon/open-outbound.ts'
import { version } from '../daemon/version.ts'
import type { Discovered } from '../discovery/discovery.ts'
import { askPublishedKeys } from '../discovery/published-keys.ts'
import { judgePublished, type Published } from '../matrix/published-key.ts'
import type { SigningKey } from '../matrix/signing.ts'
import type { Log } from '../observe/log.ts'
import { oneLine } from '../observe/one-line.ts'
import { systemClock } from '../pace/clock.ts'
import { UncheckedError } from './cli-error.ts'

const ANSWER_MS = 10_000
const MOST_NAMED = 10

/** What was found, for people. @throws UncheckedError where it is not reachable, ConfigError where our key is not what it publishes */
export async function checkOnline(
  config: Config,
  log: Log,
  network: Network = PUBLIC_NETWORK,
): Promise<string> {
  const key = loadSigningKey(config.signing_key_path)
  const outbound = openOutbound({
    ...{
      config,
      blocking: null,
      pool: null,
      lookups: LOOKUPS,
      authorities: readAuthorities(config),
      network,
      clock: systemClock,
      log,
    },
    random: Math.random,
  })
  try {
    return await check(config, key, outbound)
  } finally {
    await outbound.close()
  }
}

async function check(config: Config, key: SigningKey, { discovery, connections }: Outbound): Promise<string> {
  const { server_name: us } = config
  const found = await discovery.discover(us, { anew: true })
  if (found.kind === 'failed') {
    const step = found.stage === 'discovery' ? 'server discovery' : 'its addresses'
    throw unreachable(us, `${step}: ${found.message}${denied(found)}`)
  }
  const { signal } = new AbortController()
  const { targets } = found
  const about = { dial: connections.dial, targets, userAgent: `limpet/${version}`, limitMs: ANSWER_MS }
  const asked = await askPublishedKeys({ ...about, signal })
  if (asked.kind === 'failed') throw unreachable(us, `${asked.why}${denied(found)}`)
  const published = judgePublished(asked.body, { serverName: us, key, now: systemClock.now() })
  if (published.kind !== 'ours') throw new ConfigError('signing_key_path', complaint(us, key, published))
  const until = new Date(Math.min(published.validUntil, 8.64e15)).toISOString()
  return `ok, ${us} publishes ${key.keyId} at ${asked.address}, port ${portOf(found)}, valid until ${until}`
}

const portOf = (found: Extract<Discovered, { kind: 'found' }>) => found.targets[0]?.port ?? 0

const unreachable = (us: string, why: string) =>
  new UncheckedError(`${us} is not reachable from here: ${why}`)

/** Our own homeserver may well have an address that only exists in our network. */
function denied({ places }: Discovered): string {
  if (places.every(({ refused }) => refused.length === 0)) return ''
  return (
    '; it is federation.ip_denylist that forbids this address: if your homeserver has a private address in this network ' +
    '(split-horizon DNS), put it into federation.ip_allowlist, or check from outside'
  )
}

function complaint(us: string, key: SigningKey, published: Exclude<Published, { kind: 'ours' }>): string {
  const consequence = 'other servers would refuse what limpet sends'
  switch (published.kind) {
    case 'not published': {
      const ids = published.ids.slice(0, MOST_NAMED).map((id) => oneLine(id, 80))
      const named = ids.length === 0 ? 'it publishes none' : `it publishes ${ids.join(', ')}`
      return `${us} does not publish a key ${key.keyId}: ${named}; ${consequence}`
    }
    case 'another':
      return `${us} publishes another key under ${key.keyId}: ${oneLine(published.publicKey, 80)}, and ours is ${key.publicKey}; ${consequence}`
    case 'old':
      return `${us} lists ${key.keyId} only as an old key (old_verify_keys): ${consequence}`
    case 'unusable':
      return `what ${us} publishes as its keys is not valid, ${oneLine(published.why, 200)}: ${consequence}`
  }
}
