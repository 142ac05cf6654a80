/**
 * Which certificate authorities do we trust? Node's bundled roots, the system's bundle if there is one, and configured
 * ones.
 *
 * The set is built once and shared by all connections. Handing the list of roots to each connection would parse it
 * each time: 15 times slower, and a megabyte for each connection (measured).
 */
import { constants, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createSecureContext, rootCertificates } from 'node:tls'
import type { SecureContext } from 'node:tls'

/** Where Linux distributions and macOS keep the system's authorities; the first that can be read is taken. */
const SYSTEM_BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
]

/**
 * What a handshake may be. All of it is said here, so that no switch of Node's (`--tls-min-v1.0`, `--tls-cipher-list`) makes it
 * weaker. And none of it lets the other side choose how long it takes: a Diffie-Hellman group of 10,000 bits is 1.2 s of
 * this process's only thread, ffdhe8192 0.2 s (measured); elliptic curves take a millisecond, and every server has them.
 * Nothing is negotiated again: a renegotiation would go unnoticed, and it takes a handshake's time.
 */
const HANDSHAKE = {
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.3',
  ciphers: [
    ...['TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256', 'TLS_AES_128_GCM_SHA256'],
    ...['ECDHE-RSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-AES128-GCM-SHA256'],
    ...['ECDHE-RSA-AES256-GCM-SHA384', 'ECDHE-ECDSA-AES256-GCM-SHA384'],
    ...['HIGH', '!kDHE', '!aNULL', '!eNULL', '!EXPORT', '!DES', '!RC4', '!MD5', '!PSK', '!SRP', '!CAMELLIA'],
  ].join(':'),
  ecdhCurve: 'X25519:P-256:P-384:P-521',
  secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
} as const

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g

/** Whom we trust, as it was read: a set that is the same is not built again, because that is most of a second of this process's thread. */
export interface Trust {
  readonly secureContext: SecureContext
  readonly authorities: ReadonlySet<string>
}

/**
 * `customCas` are PEM texts, each with one certificate or more. Throws where one holds none or a broken one: an
 * operator's setting that does nothing is worse than a daemon that doesn't start. `before`: what was trusted until now.
 */
export function makeTrust(customCas: readonly string[], before: Trust | null = null): Trust {
  const ours = customCas.flatMap((pem, i) => {
    const certificates = pem.match(CERTIFICATE)
    if (certificates === null) throw new TypeError(`custom CA ${i + 1} contains no PEM certificate`)
    // `createSecureContext` passes over what it can't read.
    for (const certificate of certificates) new X509Certificate(certificate)
    return certificates
  })
  // Most of the system's are among the bundled ones; a set saves parsing those twice.
  const authorities = new Set([...rootCertificates, ...systemBundle(), ...ours])
  if (before !== null && isSame(before.authorities, authorities)) return before
  return { authorities, secureContext: createSecureContext({ ...HANDSHAKE, ca: [...authorities] }) }
}

const isSame = (a: ReadonlySet<string>, b: ReadonlySet<string>): boolean =>
  a.size === b.size && [...a].every((one) => b.has(one))

function systemBundle(): readonly string[] {
  for (const path of SYSTEM_BUNDLES) {
    try {
      return readFileSync(path, 'utf8').match(CERTIFICATE) ?? []
    } catch {
      // Not this system's place.
    }
  }
  return []
}
