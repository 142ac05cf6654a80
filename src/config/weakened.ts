/**
 * What in the environment weakens limpet's promises? Node has switches for that which no configuration shows. Pure.
 *
 * None of them turns off the check of certificates: `main.ts` removes that variable, and limpet sets its own demands
 * on connections to other servers (`wire/dial.ts`, `wire/trust.ts`). This file says, in one line each, what to tell an
 * operator.
 */
import type { Log } from '../observe/log.ts'
import type { Environment } from './env.ts'

/** The variable with which Node turns the check of certificates off. */
export const NO_CERTIFICATES = 'NODE_TLS_REJECT_UNAUTHORIZED'

const FLAGS: readonly (readonly [RegExp, string])[] = [
  [
    /^--tls-keylog\b/,
    'the keys of every TLS connection are written to a file: anyone who can read it can decrypt all traffic',
  ],
  [/^--tls-min-v1\.[01]$/, 'connections to PostgreSQL and Redis may use an old TLS version'],
  [/^--tls-cipher-list\b/, "connections to PostgreSQL and Redis may use ciphers other than Node's defaults"],
  [
    /^--inspect\b/,
    'a debugger is listening: anyone who can reach its port controls this process and can read its keys',
  ],
  [
    /^--insecure-http-parser$/,
    'HTTP requests are parsed leniently; behind a proxy, one request may be taken for two',
  ],
  [/^--(?:security-revert|reverse-security)\b/, 'a security fix of Node is turned off'],
]

/** One line for each; `args` are Node's own (`process.execArgv`). */
export function weakenedBy(env: Environment, args: readonly string[]): string[] {
  const lines: string[] = []
  if (env[NO_CERTIFICATES] === '0')
    lines.push(
      `${NO_CERTIFICATES}=0 is ignored: certificates are checked. Remove it. To trust your own certificate authority, use federation.custom_ca_paths for remote servers, sslrootcert in the URL for PostgreSQL, and NODE_EXTRA_CA_CERTS for Redis`,
    )
  if (env['PGSSLMODE'] === 'no-verify')
    lines.push(
      'PGSSLMODE=no-verify: the certificate of PostgreSQL is not checked where its URL has no sslmode',
    )
  if ((env['NODE_EXTRA_CA_CERTS'] ?? '') !== '')
    lines.push(
      'NODE_EXTRA_CA_CERTS: its authorities are trusted for PostgreSQL and Redis, not for remote servers (for these use federation.custom_ca_paths)',
    )
  for (const flag of [...(env['NODE_OPTIONS'] ?? '').split(/\s+/), ...args]) {
    const found = FLAGS.find(([pattern]) => pattern.test(flag))
    if (found !== undefined) lines.push(`${flag.replace(/=.*/, '')}: ${found[1]}`)
  }
  return [...new Set(lines)]
}

/** One line, where certificates of some servers are not checked. */
export function sayInsecure(insecure: readonly string[], log: Pick<Log, 'warn'>): void {
  if (insecure.length === 0) return
  log.warn(
    { insecure_domains: insecure },
    'federation.insecure_domains: anybody on the network path to these servers can read and change what limpet sends them',
  )
}
