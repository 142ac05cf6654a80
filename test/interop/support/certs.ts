/**
 * A certificate authority for one run, and server certificates for `localhost` that it signed: each
 * homeserver trusts the authority and nothing else, so certificates are verified for real.
 */
import { generate } from 'selfsigned'

export interface KeyAndCert {
  readonly key: string
  readonly cert: string
}

/** Makes the authority's key and certificate (PEM). */
export async function makeAuthority(): Promise<KeyAndCert> {
  const made = await generate([{ name: 'commonName', value: 'limpet interop test' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  })
  return { key: made.private, cert: made.cert }
}

/** Makes a server's key and certificate (PEM) for `localhost` and `127.0.0.1`, signed by `authority`. */
export async function makeLocalhostCert(authority: KeyAndCert): Promise<KeyAndCert> {
  const made = await generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    ca: { key: authority.key, cert: authority.cert },
    extensions: [
      { name: 'basicConstraints', cA: false },
      { name: 'extKeyUsage', serverAuth: true },
      {
        name: 'subjectAltName',
        altNames: [
          { type: 2, value: 'localhost' },
          { type: 7, ip: '127.0.0.1' },
        ],
      },
    ],
  })
  return { key: made.private, cert: made.cert }
}
