/**
 * A Synapse that limpet must not read from: an unverified schema, several event writers, another homeserver's
 * database, or missing rights. The operator gets one line; `run` ends with it and exit status 2.
 */
export class SynapseRefused extends Error {
  override readonly name = 'SynapseRefused'
  readonly code = 'SYNAPSE_SCHEMA'

  constructor(what: string, options?: ErrorOptions) {
    super(`sources.synapse: ${what}`, options)
  }
}

// PostgreSQL's error codes for "that is not there" and "that you may not".
const MISSING = new Set(['42P01', '42703', '3F000'])
const FORBIDDEN = '42501'

/** What a failed read of Synapse's tables means: a refusal where a person must act, else the error itself. */
export function refusalOf(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const code = (error as { code?: unknown }).code
  if (typeof code === 'string' && MISSING.has(code)) {
    return new SynapseRefused(`the database is not a Synapse's, or has an unknown schema: ${error.message}`, {
      cause: error,
    })
  }
  if (code === FORBIDDEN) {
    return new SynapseRefused(
      `the database user lacks a right (docs/synapse.md lists them): ${error.message}`,
      {
        cause: error,
      },
    )
  }
  return error
}

/** What was asked was answered by another server than told the end of the stream: it may be behind that. */
export class AnotherServer extends Error {
  override readonly name = 'AnotherServer'
}

/** Where several servers answer at the database's address. */
export const severalServers = () =>
  new SynapseRefused(
    "several servers answer at the address of Synapse's database (replicas behind a balancer?), and one is always behind another: " +
      'give limpet the address of one of them',
  )
