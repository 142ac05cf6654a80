/**
 * Certificates for loopback servers, made in this process: an authority and the leaves that it signs.
 *
 * Nothing is written to disk, and everything is valid for a day unless it is asked otherwise. One leaf can serve a whole
 * fleet, because all its servers are 127.0.0.1. The odd leaves (another name, expired) are for tests that must see them
 * refused.
 */
import { generate } from 'selfsigned'

/** PEM texts, as `tls` and `https` take them. */
export interface KeyPair {
  readonly cert: string
  readonly key: string
}

export interface LeafOptions {
  /** IP addresses the leaf is for. */
  readonly ips?: readonly string[]
  /** DNS names the leaf is for. */
  readonly names?: readonly string[]
  /** Valid until a day ago. */
  readonly expired?: boolean
}

export interface AuthorityOptions {
  /** Its common name. */
  readonly name?: string
  /** For how many days it and its leaves are valid. Default 1. */
  readonly days?: number
}

export interface CertificateAuthority {
  /** PEM of the authority's own certificate: what `federation.custom_ca_paths` would name. */
  readonly cert: string
  /** PEM of its private key. */
  readonly key: string
  /** A leaf signed by this authority; without options it is for 127.0.0.1, ::1 and localhost. */
  issue(options?: LeafOptions): Promise<KeyPair>
}

const DAY_MS = 86_400_000
const ALGORITHM = { keyType: 'ec', curve: 'P-256', algorithm: 'sha256' } as const

/** Makes an authority that is valid around `now` (milliseconds since the epoch). */
export async function makeCertificateAuthority(
  now: number,
  { name = 'limpet loopback authority', days = 1 }: AuthorityOptions = {},
): Promise<CertificateAuthority> {
  const ca = await generate([{ name: 'commonName', value: name }], {
    ...ALGORITHM,
    notBeforeDate: new Date(now - 3 * DAY_MS),
    notAfterDate: new Date(now + days * DAY_MS),
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  })
  return authorityOf({ cert: ca.cert, key: ca.private }, now, days)
}

/** The authority whose certificate and key these are; its leaves are valid around `now` for so many days. */
export function authorityOf({ cert, key }: KeyPair, now: number, days = 1): CertificateAuthority {
  async function issue({ ips, names, expired = false }: LeafOptions = {}): Promise<KeyPair> {
    const dns = names ?? (ips === undefined ? ['localhost'] : [])
    const addresses = ips ?? (names === undefined ? ['127.0.0.1', '::1'] : [])
    const leaf = await generate([{ name: 'commonName', value: dns[0] ?? addresses[0] ?? 'nobody' }], {
      ...ALGORITHM,
      ca: { key, cert },
      notBeforeDate: new Date(now - 2 * DAY_MS),
      notAfterDate: new Date(expired ? now - DAY_MS : now + days * DAY_MS),
      extensions: [
        { name: 'basicConstraints', cA: false, critical: true },
        { name: 'keyUsage', digitalSignature: true, critical: true },
        { name: 'extKeyUsage', serverAuth: true },
        {
          name: 'subjectAltName',
          altNames: [
            ...dns.map((value) => ({ type: 2 as const, value })),
            ...addresses.map((ip) => ({ type: 7 as const, ip })),
          ],
        },
      ],
    })
    return { cert: leaf.cert, key: leaf.private }
  }

  return { cert, key, issue }
}
