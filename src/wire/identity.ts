/**
 * Is a certificate for the name or address that we wanted?
 *
 * Names are compared by Node. Addresses are not: some releases (such as 24.17.0) refuse every IPv6 address,
 * because they compare its text with another spelling of it. OpenSSL compares bytes. Only the certificate's addresses
 * count (RFC 9110, 4.3.5; spec: "valid for the IP address"), never its common name and no name that looks like one.
 */
import { X509Certificate } from 'node:crypto'
import { checkServerIdentity } from 'node:tls'
import type { PeerCertificate } from 'node:tls'
import { parseIp } from '../allow/ip.ts'

/** Null, or an error with the code that Node gives. */
export function whyNotFor(tlsName: string, certificate: PeerCertificate): Error | null {
  if (parseIp(tlsName) === null) return checkServerIdentity(tlsName, certificate) ?? null
  if (new X509Certificate(certificate.raw).checkIP(tlsName) !== undefined) return null
  return Object.assign(new Error(`the certificate is not for the address ${tlsName}`), {
    code: 'ERR_TLS_CERT_ALTNAME_INVALID',
  })
}
