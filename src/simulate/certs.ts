/**
 * Certificates for loopback servers, made in this process: an authority and the leaves it signs (RFC 5280).
 *
 * Nothing is written to disk, and everything lives for a day. One leaf can serve a whole fleet, since all of
 * its servers are 127.0.0.1. The odd leaves (another name, expired) are for tests of what refuses them.
 */
import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { addressBytes, bits, explicit, implicit, integer } from './der.ts'
import { octets, oid, sequence, set, time, utf8, yes } from './der.ts'

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

export interface CertificateAuthority {
  /** PEM of the authority's own certificate: what `federation.custom_ca_paths` would name. */
  readonly cert: string
  /** A leaf signed by this authority; without options it is for 127.0.0.1, ::1 and localhost. */
  issue(options?: LeafOptions): Promise<KeyPair>
}

const DAY_MS = 86_400_000
/** ecdsa-with-SHA256 (RFC 5758 3.2). */
const ALGORITHM = sequence(oid('1.2.840.10045.4.3.2'))

/** Makes an authority called `name`, valid around `now` (milliseconds since the epoch). */
export function makeCertificateAuthority(
  now: number,
  name = 'limpet loopback authority',
): Promise<CertificateAuthority> {
  const own = makeKey()
  const issuer = { name, key: own.privateKey, id: own.id }
  const cert = certificate({
    ...{ issuer, subject: name, key: own, from: now - 3 * DAY_MS, until: now + DAY_MS },
    extensions: [
      extension('2.5.29.19', sequence(yes()), 'critical'), // basicConstraints: an authority
      extension('2.5.29.15', bits(Buffer.from([0b0000_0110]), 1), 'critical'), // keyUsage: signs certificates and lists
    ],
  })

  function issue({ ips, names, expired = false }: LeafOptions = {}): Promise<KeyPair> {
    const dns = names ?? (ips === undefined ? ['localhost'] : [])
    const addresses = ips ?? (names === undefined ? ['127.0.0.1', '::1'] : [])
    const key = makeKey()
    const leaf = certificate({
      ...{ issuer, subject: dns[0] ?? addresses[0] ?? 'nobody', key },
      ...{ from: now - 2 * DAY_MS, until: expired ? now - DAY_MS : now + DAY_MS },
      extensions: [
        extension('2.5.29.19', sequence(), 'critical'), // basicConstraints: no authority
        extension('2.5.29.15', bits(Buffer.from([0b1000_0000]), 7), 'critical'), // keyUsage: digitalSignature
        extension('2.5.29.37', sequence(oid('1.3.6.1.5.5.7.3.1'))), // extKeyUsage: serverAuth
        extension(
          '2.5.29.17', // subjectAltName: [2] is a DNS name, [7] an address
          sequence(
            ...dns.map((value) => implicit(2, Buffer.from(value))),
            ...addresses.map((ip) => implicit(7, addressBytes(ip))),
          ),
        ),
      ],
    })
    return Promise.resolve({
      cert: leaf,
      key: key.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    })
  }

  return Promise.resolve({ cert, issue })
}

interface Key {
  readonly privateKey: KeyObject
  /** SubjectPublicKeyInfo. */
  readonly info: Buffer
  /** What certificates call this key (RFC 5280 4.2.1.2). */
  readonly id: Buffer
}

function makeKey(): Key {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const info = publicKey.export({ type: 'spki', format: 'der' })
  return { privateKey, info, id: createHash('sha1').update(info).digest() }
}

/** A certificate that `issuer` signs for `key`, as PEM. */
function certificate({
  issuer,
  subject,
  key,
  from,
  until,
  extensions,
}: {
  issuer: { name: string; key: KeyObject; id: Buffer }
  subject: string
  key: Key
  from: number
  until: number
  extensions: readonly Buffer[]
}): string {
  const content = sequence(
    explicit(0, integer(Buffer.from([2]))), // version 3
    integer(randomBytes(16)),
    ALGORITHM,
    commonName(issuer.name),
    sequence(time(from), time(until)),
    commonName(subject),
    key.info,
    explicit(
      3,
      sequence(
        ...extensions,
        extension('2.5.29.14', octets(key.id)), // subjectKeyIdentifier
        extension('2.5.29.35', sequence(implicit(0, issuer.id))), // authorityKeyIdentifier
      ),
    ),
  )
  const whole = sequence(content, ALGORITHM, bits(sign('sha256', content, issuer.key)))
  const lines = whole.toString('base64').replace(/.{1,64}/g, '$&\n')
  return `-----BEGIN CERTIFICATE-----\n${lines}-----END CERTIFICATE-----\n`
}

function commonName(name: string): Buffer {
  return sequence(set(sequence(oid('2.5.4.3'), utf8(name))))
}

function extension(id: string, value: Buffer, critical?: 'critical'): Buffer {
  return sequence(oid(id), ...(critical === undefined ? [] : [yes()]), octets(value))
}
