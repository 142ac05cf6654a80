/**
 * What in the environment weakens what limpet promises? Node has switches for that, which nobody sees in a configuration. Pure.
 *
 * The check of certificates is not among what they can do: `main.ts` takes that variable away, and federation says by
 * itself what it demands (`wire/dial.ts`, `wire/trust.ts`). Here is what to tell an operator, one line each.
 */
import type { Environment } from './config-env.ts'

/** The variable with which Node turns the check of certificates off. */
export const NO_CERTIFICATES = 'NODE_TLS_REJECT_UNAUTHORIZED'

const FLAGS: readonly (readonly [RegExp, string])[] = [
  [
    /^--tls-keylog\b/,
    'the keys of every TLS connection are written to a file: who reads it reads all traffic',
  ],
  [/^--tls-min-v1\.[01]$/, 'PostgreSQL and Redis may speak an old version of TLS'],
  [/^--tls-cipher-list\b/, "PostgreSQL and Redis may use other ciphers than Node's"],
  [/^--inspect\b/, 'a debugger listens: who reaches its port controls this process and reads its keys'],
  [/^--insecure-http-parser$/, 'requests are read leniently; behind a proxy one may be taken for two'],
  [/^--(?:security-revert|reverse-security)\b/, 'a security fix of Node is turned off'],
]

/** One line for each; `args` are Node's own (`process.execArgv`). */
export function weakenedBy(env: Environment, args: readonly string[]): string[] {
  const lines: string[] = []
  if (env[NO_CERTIFICATES] === '0')
    lines.push(
      `${NO_CERTIFICATES}=0 is not obeyed: certificates are checked. Remove it; an authority of your own goes into federation.custom_ca_paths, that of PostgreSQL into sslrootcert of its URL, that of Redis into NODE_EXTRA_CA_CERTS`,
    )
  if (env['PGSSLMODE'] === 'no-verify')
    lines.push(
      'PGSSLMODE=no-verify: the certificate of PostgreSQL is not checked where its URL has no sslmode',
    )
  if ((env['NODE_EXTRA_CA_CERTS'] ?? '') !== '')
    lines.push(
      'NODE_EXTRA_CA_CERTS: its authorities are believed for PostgreSQL and Redis, not for federation (that is federation.custom_ca_paths)',
    )
  for (const flag of [...(env['NODE_OPTIONS'] ?? '').split(/\s+/), ...args]) {
    const found = FLAGS.find(([pattern]) => pattern.test(flag))
    if (found !== undefined) lines.push(`${flag.replace(/=.*/, '')}: ${found[1]}`)
  }
  return [...new Set(lines)]
}
